// Checks that a layer which absorbed its neighbours computes what they would have.
#pragma once

#include <cstdint>

#include "tests/support/layer_check.h"

namespace engine::test {

/// Draws a per-channel affine map for `channels` channels, folds it into the case's layer, and
/// fuses each activation behind that, and behind a residual where the layer can add one. Checks
/// every combination on all devices and precisions against the fp64 reference of the layer,
/// followed by the map, the residual and the activation in fp64.
void check_fused(const LayerCase& layer_case, int64_t channels);

}  // namespace engine::test
