// What the rows of the implicit GEMM kernels have in common.
#pragma once

#include "engine/layer.h"
#include "layers/conv1d/cuda/gemm_deal.h"
#include "layers/conv1d/cuda/implicit_gemm.h"

namespace engine::cuda {

/// Launches a kernel that takes `shared_bytes` for stages and resident weights.
using ImplicitGemmLaunch = void (*)(const ImplicitGemm& gemm, int64_t shared_bytes, int64_t blocks,
                                    CudaStream stream);

/// Whether sizes are within what plans count with: kernels of at most 1024 taps, strides up to
/// 1024, dilations up to 2^20; and in fp32 whether sums are long enough for split operands to be as
/// accurate as f32: at least 16 products.
bool implicit_gemm_allows(const Conv1dProblem& problem);

/// Elements of x and y together.
double implicit_gemm_elements(const Conv1dProblem& problem);

/// The Step that runs a plan of a compiled tile on blocks that `deal` says.
Step implicit_gemm_step(const Conv1dProblem& problem, const GemmTile& tile, const GemmPlan& plan,
                        ImplicitGemmLaunch launch, const GemmDeal& deal,
                        const PrepareContext& context);

/// The same as deal_tiles() has it.
Step persistent_gemm_step(const Conv1dProblem& problem, const GemmTile& tile, const GemmPlan& plan,
                          ImplicitGemmLaunch launch, const PrepareContext& context);

}  // namespace engine::cuda
