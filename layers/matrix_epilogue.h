// What follows a matrix product on the GPU: bias, activation, conversion.
#pragma once

#include <cstdint>

#include "engine/layer.h"

namespace engine {

/// target[r, c] = activation(source[r, c] + bias[by_column ? c : r % period]) for `rows` x
/// `columns` elements, rows `source_stride` and `target_stride` elements apart.
struct MatrixEpilogue {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t source_stride = 0;
  int64_t target_stride = 0;
  bool by_column = false;
  int64_t period = 1;  ///< values of a bias by row
  Activation activation;
};

/// Enqueues it: f32 to a floating-point dtype. `bias` is f32 or null. source may equal target where
/// dtype and stride do.
void matrix_epilogue_cuda(const MatrixEpilogue& epilogue, const float* source, const float* bias,
                          void* target, DType target_dtype, CudaStream stream);

}  // namespace engine
