// Random Conv1d problems.
#pragma once

#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {

/// A legal Conv1d with attributes and sizes drawn from `seed`, small enough for the reference.
LayerCase random_conv1d(uint64_t seed);

}  // namespace engine::test
