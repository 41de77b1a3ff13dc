// Pointwise activation: y[i] = f(x[i]), any shape, contiguous.
//
// Threads: one element each, grid stride. Shared memory: none.
// Bytes moved: each element read once and written once, which is what limits it.
// Requires: floating-point dtype; nothing else.
#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "layers/activation/activation_launch.h"
#include "layers/activation/activation_math.h"

namespace engine {
namespace {

template <typename Math, typename T>
__global__ void activation_kernel(Activation activation, const T* input, T* output, int64_t count) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    output[i] = cuda::from_float<T>(Math::apply(cuda::to_float(input[i]), activation));
  }
}

}  // namespace

void activation_cuda(const Activation& activation, const void* input, void* output, int64_t count,
                     DType dtype, CudaStream stream) {
  cuda::LaunchConfig config{"activation", cuda::grid_for(count, 256)};
  config.stream = stream;
  cuda::with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    with_activation_math(activation.kind, [&](auto math) {
      cuda::launch(activation_kernel<decltype(math), T>, config, activation,
                   static_cast<const T*>(input), static_cast<T*>(output), count);
    });
  });
}

}  // namespace engine
