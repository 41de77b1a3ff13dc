#include "layers/conv1d/cuda/turn_gemm_sm90.cuh"

namespace engine::cuda {

std::vector<TurnKernel> turn_kernels_sm90_tf32() { return turn_kernels_sm90<float, 1>(); }

}  // namespace engine::cuda
