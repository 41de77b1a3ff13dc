// The largest magnitudes of rows of f32, from which their scales in f16 follow (half_parts.h).
#pragma once

#include <cstdint>

#include "engine/cuda/runtime.h"

namespace engine::cuda {

/// Raises largest[r], of each of `rows` rows of `length` values, to the bits of the largest finite
/// magnitude in row r of x.
void raise_largest_magnitudes(const float* x, int64_t rows, int64_t length, uint32_t* largest,
                              CudaStream stream);

}  // namespace engine::cuda
