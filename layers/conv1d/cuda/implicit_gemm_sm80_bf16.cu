#include "layers/conv1d/cuda/implicit_gemm_sm80.cuh"

namespace engine::cuda {

std::vector<Sm80Kernel> sm80_kernels_bf16() {
  return {sm80_kernel<__nv_bfloat16, 2, 128, 1>(), sm80_kernel<__nv_bfloat16, 1, 128, 1>(),
          sm80_kernel<__nv_bfloat16, 1, 64, 1>()};
}

}  // namespace engine::cuda
