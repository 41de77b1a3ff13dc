#include "layers/conv1d/cuda/turn_gemm_sm90.cuh"

namespace engine::cuda {

std::vector<TurnKernel> turn_kernels_sm90_fp32() { return split_turn_kernels_sm90(); }

}  // namespace engine::cuda
