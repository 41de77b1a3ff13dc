#include "layers/conv1d/cuda/implicit_gemm_sm80.cuh"

namespace engine::cuda {

std::vector<Sm80Kernel> sm80_kernels_tf32() {
  return {sm80_kernel<float, 2, 128, 1>(), sm80_kernel<float, 1, 128, 1>(),
          sm80_kernel<float, 1, 64, 1>()};
}

}  // namespace engine::cuda
