#include "layers/conv1d/cuda/implicit_gemm_sm90.cuh"

namespace engine::cuda {

std::vector<Sm90Kernel> sm90_kernels_fp16() {
  return {sm90_kernel<__half, 2, 2, 128, 1, true>(), sm90_kernel<__half, 1, 2, 256, 1, true>(),
          sm90_kernel<__half, 2, 1, 256, 1, true>(), sm90_kernel<__half, 1, 4, 128, 1, true>(),
          sm90_kernel<__half, 2, 2, 128, 1, false>()};
}

}  // namespace engine::cuda
