// The elementwise kernel's launch function, and what it shares with the CPU path.
#pragma once

#include <cstdint>

#include "engine/layer.h"
#include "layers/shape/strided_space.h"

namespace engine {

enum class ElementwiseOp {
  kAdd,  ///< a + b
  kMul,  ///< a * b
  kGlu,  ///< a * sigmoid(b), of two arrays
};

/// output[i] = op(op(a[i], b[i]), c[i]) ... for items [begin, end) of `space`, whose arrays are the
/// inputs. The output is contiguous, and may be the first or second input where that is laid out
/// as it is. Fast where, along the innermost loop, inputs
/// move by 1 or stand still.
void elementwise_cpu(ElementwiseOp op, const StridedSpace& space, const float* const* inputs,
                     float* output, int64_t begin, int64_t end);

/// The same for all items on the GPU, for a floating-point dtype; computes in f32 and rounds once.
void elementwise_cuda(ElementwiseOp op, const StridedSpace& space, const void* const* inputs,
                      void* output, DType dtype, CudaStream stream);

}  // namespace engine
