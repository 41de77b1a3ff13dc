// The activation kernel's launch function.
#pragma once

#include <cstdint>

#include "engine/layer.h"

namespace engine {

/// output[i] = activation(input[i]) for `count` elements of a floating-point dtype on the GPU.
/// input may equal output.
void activation_cuda(const Activation& activation, const void* input, void* output, int64_t count,
                     DType dtype, CudaStream stream);

}  // namespace engine
