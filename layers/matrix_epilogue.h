// What follows a matrix product on the GPU: bias, activation, residual, conversion.
#pragma once

#include <cstdint>

#include "engine/layer.h"

namespace engine {

/// target[r, c] = activation(source[r, c] + bias[by_column ? c : r % period]) for `rows` x
/// `columns` elements, rows `source_stride` and `target_stride` elements apart. With a residual,
/// which lies as the target does, residual_activation of that and residual[r, c].
struct MatrixEpilogue {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t source_stride = 0;
  int64_t target_stride = 0;
  bool by_column = false;
  int64_t period = 1;  ///< values of a bias by row
  Activation activation;
  Activation residual_activation;
};

/// Enqueues it: f32 to a floating-point dtype. `bias` is f32 or null, `residual` of the target's
/// dtype or null. source may equal target where dtype and stride do.
void matrix_epilogue_cuda(const MatrixEpilogue& epilogue, const float* source, const float* bias,
                          const void* residual, void* target, DType target_dtype,
                          CudaStream stream);

}  // namespace engine
