#include "layers/conv1d/cuda/gather_gemm_sm90.cuh"

namespace engine::cuda {

std::vector<Sm90Kernel> gather_kernels_sm90_fp16() {
  return {gather_kernel_sm90<__half, 128, 2, 2, 1, 1>(),
          gather_kernel_sm90<__half, 128, 3, 1, 1, 1>(),
          gather_kernel_sm90<__half, 256, 2, 1, 1, 1>()};
}

}  // namespace engine::cuda
