#include "layers/conv1d/cuda/implicit_gemm_sm80.cuh"

namespace engine::cuda {

std::vector<Sm80Kernel> sm80_kernels_fp32() {
  return {sm80_kernel<float, 2, 64, 2>(), sm80_kernel<float, 1, 128, 2>(),
          sm80_kernel<float, 1, 64, 2>()};
}

}  // namespace engine::cuda
