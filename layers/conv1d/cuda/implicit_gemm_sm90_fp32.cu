#include "layers/conv1d/cuda/implicit_gemm_sm90.cuh"

namespace engine::cuda {

std::vector<Sm90Kernel> sm90_kernels_fp32() {
  return {sm90_kernel<float, 1, 2, 128, 2, true>(), sm90_kernel<float, 2, 1, 128, 2, true>(),
          sm90_kernel<float, 1, 2, 128, 2, false>()};
}

}  // namespace engine::cuda
