// Sums and maxima of consecutive values by whole vectors.
#pragma once

#include <cstdint>

namespace engine::cpu {

/// The sum of `count` >= 1 values in f32, by as many partial sums as several vectors have lanes.
float sum_of_values(const float* x, int64_t count);

/// The largest of `count` >= 1 values; NaN where one is.
float maximum_of_values(const float* x, int64_t count);

}  // namespace engine::cpu
