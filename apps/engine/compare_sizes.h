// Input shapes that the reference can compute in seconds.
#pragma once

#include <vector>

#include "apps/engine/audio_fit.h"
#include "apps/engine/model_options.h"

namespace engine::cli {

/// input_shapes(), and where that takes many operations with smaller named sizes (but those that
/// the user set): first the batch, then the others, halved while the model can take them.
std::vector<Shape> comparable_shapes(const Engine& engine, const Sizes& sizes,
                                     const Notify& notify);

}  // namespace engine::cli
