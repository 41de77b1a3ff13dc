// The PReLU kernel's launch function.
#pragma once

#include <cstdint>

#include "engine/layer.h"

namespace engine {

/// Of element i of `count`, the slope is slopes[i / run % channels]: `run` is the length of NCL, 1
/// for NC. One slope for all is one channel.
struct PReLUProblem {
  int64_t count;
  int64_t run;
  int64_t channels;
};

/// y = x > 0 ? x : slope * x for a floating-point dtype on the GPU. x may equal y.
void prelu_cuda(const PReLUProblem& problem, const float* slopes, const void* x, void* y,
                DType dtype, CudaStream stream);

}  // namespace engine
