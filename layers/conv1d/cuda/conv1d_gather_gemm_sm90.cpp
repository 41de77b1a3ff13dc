// The row of the Hopper GEMM that gathers its operands: which of its compiled tiles a problem runs
// on, and what it costs.
#include "layers/conv1d/cuda/choose_gemm.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/gather_gemm_seconds.h"
#include "layers/conv1d/cuda/implicit_gemm_launch.h"

namespace engine::cuda {
namespace {

const GemmKernels<Sm90Kernel>& kernels() {
  static const GemmKernels<Sm90Kernel> all{gather_kernels_sm90_fp32(), gather_kernels_sm90_tf32(),
                                           gather_kernels_sm90_fp16(), gather_kernels_sm90_bf16()};
  return all;
}

// Ranks plans.
double predict(const Conv1dProblem& p, const GemmPlan& plan, const Sm90Kernel& kernel) {
  return gather_launch_seconds(p, deal_tiles(p, kernel.tile, plan, kMultiprocessors).cycles);
}

GemmChoice<Sm90Kernel> choose(const Conv1dProblem& p) {
  return choose_gemm(
      p, kernels().of(p.precision), [](const Sm90Kernel&) { return true; }, predict);
}

bool can_implement(const Conv1dProblem& p) {
  return implicit_gemm_allows(p) && p.padding_mode == PaddingMode::kZeros && !p.residual &&
         is_bend(p.activation) && choose(p).kernel != nullptr;
}

double seconds(const Conv1dProblem& p) {
  const GemmChoice<Sm90Kernel> choice = choose(p);
  const GemmTile& tile = choice.kernel->tile;
  return gather_gemm_seconds(p, tile, choice.plan,
                             deal_tiles(p, tile, choice.plan, kMultiprocessors));
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const GemmChoice<Sm90Kernel> choice = choose(p);
  return persistent_gemm_step(p, choice.kernel->tile, choice.plan, choice.kernel->launch, context);
}

}  // namespace

Conv1dKernel conv1d_gather_gemm_sm90() {
  return {"conv1d_gather_gemm_sm90", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
