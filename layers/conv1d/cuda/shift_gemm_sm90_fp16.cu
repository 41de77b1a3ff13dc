#include "layers/conv1d/cuda/shift_gemm_sm90.cuh"

namespace engine::cuda {

std::vector<ShiftKernel> shift_kernels_sm90_fp16() {
  return {shift_kernel_sm90<__half, 128>(), shift_kernel_sm90<__half, 64>()};
}

}  // namespace engine::cuda
