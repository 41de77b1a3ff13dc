#include "layers/conv1d/cuda/gather_gemm_sm90.cuh"

namespace engine::cuda {

std::vector<Sm90Kernel> gather_kernels_sm90_tf32() {
  return {gather_kernel_sm90<float, 128, 2, 2, 1, 1>(),
          gather_kernel_sm90<float, 128, 3, 1, 1, 1>(),
          gather_kernel_sm90<float, 256, 2, 1, 1, 1>()};
}

}  // namespace engine::cuda
