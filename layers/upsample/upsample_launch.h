// The upsampling kernel's launch function, and what it shares with the CPU path.
#pragma once

#include <cstdint>

#include "engine/layer.h"

namespace engine {

/// Resampling of the last dimension of a tensor seen as [rows, length]. Output t lies at input
/// position max(0, t * step + offset) / denominator. As exact fractions, positions are right for
/// any length; as floats they would be off by whole elements beyond 2^24.
struct UpsampleProblem {
  bool linear = false;  ///< between two neighbours; else the element at the position rounded down
  int64_t rows = 0;
  int64_t length = 0;
  int64_t output_length = 0;
  int64_t step = 1;
  int64_t offset = 0;
  int64_t denominator = 1;
};

/// Enqueues the resampling of a floating-point dtype.
void upsample_cuda(const UpsampleProblem& problem, const void* input, void* output, DType dtype,
                   CudaStream stream);

}  // namespace engine
