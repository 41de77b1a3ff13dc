#include "layers/conv1d/cuda/shift_gemm_sm90.cuh"

namespace engine::cuda {

std::vector<ShiftKernel> shift_kernels_sm90_bf16() {
  return {shift_kernel_sm90<__nv_bfloat16, 128>(), shift_kernel_sm90<__nv_bfloat16, 64>()};
}

}  // namespace engine::cuda
