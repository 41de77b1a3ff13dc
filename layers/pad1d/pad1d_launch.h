// The padding kernel's launch function.
#pragma once

#include <cstdint>

#include "engine/layer.h"
#include "layers/conv1d/padding_mode.h"

namespace engine {

/// Padding of the last dimension of a tensor seen as [rows, length].
struct PadProblem {
  PaddingMode mode = PaddingMode::kZeros;  ///< kZeros stands for any constant
  int64_t rows = 0;
  int64_t length = 0;
  int64_t left = 0;
  int64_t output_length = 0;
  int64_t element_bytes = 4;  ///< 2, 4 or 8
  uint64_t value_bits = 0;    ///< the constant as stored, in the low bytes
};

/// Enqueues output[row][i] = row element padded_source(i - left), or the constant.
void pad1d_cuda(const PadProblem& problem, const void* input, void* output, CudaStream stream);

}  // namespace engine
