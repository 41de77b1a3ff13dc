#include "layers/conv1d/cuda/implicit_gemm_sm80.cuh"

namespace engine::cuda {

std::vector<Sm80Kernel> sm80_kernels_fp16() {
  return {sm80_kernel<__half, 2, 128, 1>(), sm80_kernel<__half, 1, 128, 1>(),
          sm80_kernel<__half, 1, 64, 1>()};
}

}  // namespace engine::cuda
