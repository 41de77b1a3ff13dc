#include "layers/conv1d/cuda/turn_gemm_sm90.cuh"

namespace engine::cuda {

std::vector<TurnKernel> turn_kernels_sm90_bf16() { return turn_kernels_sm90<__nv_bfloat16, 1>(); }

}  // namespace engine::cuda
