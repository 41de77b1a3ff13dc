// The row of the implicit GEMM for Ampere and later: which of its compiled tiles a problem runs on,
// and what it costs.
#include <algorithm>
#include <cmath>

#include "engine/cuda/runtime.h"
#include "layers/conv1d/cuda/choose_gemm.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/implicit_gemm_sm80.h"

namespace engine::cuda {
namespace {

const GemmKernels<Sm80Kernel>& kernels() {
  static const GemmKernels<Sm80Kernel> all{sm80_kernels_fp32(), sm80_kernels_tf32(),
                                           sm80_kernels_fp16(), sm80_kernels_bf16()};
  return all;
}

// Multiply-adds of two bytes each that a multiprocessor of an H200 is expected to do in a second,
// counted as two: 40% of what cuBLAS does in tf32 and 16-bit types; fp32 takes three products.
double rate_of(Precision precision) {
  constexpr double kShare = 0.40 / 132;
  switch (precision) {
    case Precision::kTf32:
      return kShare * 345e12;
    case Precision::kFp16:
    case Precision::kBf16:
      return kShare * 655e12;
    default:
      return kShare * 345e12 / 3;
  }
}

// A multiprocessor computes `waves` tiles, one after the other or two in turn: stages, each at
// least as long as its loads take, then the stores. Nothing is faster than memory. Fits an H200
// within a third.
double predict(const Conv1dProblem& p, const GemmPlan& plan, const Sm80Kernel& kernel) {
  constexpr double kLaunch = 6e-6;
  constexpr double kFirstTile = 12e-6;      // from a cold instruction cache, as on Hopper
  constexpr double kStage = 0.4e-6;         // of two blocks in turn, at least
  constexpr int64_t kWideStride = 4;        // from which on windows
  constexpr double kStridedLoads = 3.0;     // take longer than products
  constexpr double kStoresPerSecond = 3e9;  // of outputs, whatever their type
  constexpr double kBytesPerSecond = 3.0e12;
  const auto element_bytes = static_cast<double>(size_of(p.dtype));
  const auto tiles = static_cast<double>(implicit_gemm_tiles(p, plan));
  const double waves = std::ceil(tiles / kMultiprocessors);
  const double outputs = kernel.tile.rows * kernel.tile.columns;
  const double stage_flops = 2.0 * outputs * plan.steps * 2 * kUnitBytes / element_bytes;
  const double strided = p.stride >= kWideStride && !p.transposed ? kStridedLoads : 1.0;
  const double stage = std::max(stage_flops / rate_of(p.precision), kStage) * strided;
  const double store = outputs / kStoresPerSecond;
  const double bytes = implicit_gemm_elements(p) * element_bytes;
  return kLaunch + kFirstTile +
         std::max(waves * (plan.stages() * stage + store), bytes / kBytesPerSecond);
}

GemmChoice<Sm80Kernel> choose(const Conv1dProblem& p) {
  return choose_gemm(
      p, kernels().of(p.precision), [](const Sm80Kernel&) { return true; }, predict);
}

bool can_implement(const Conv1dProblem& p) {
  return implicit_gemm_allows(p) && choose(p).kernel != nullptr;
}

double seconds(const Conv1dProblem& p) { return choose(p).seconds; }

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const GemmChoice<Sm80Kernel> choice = choose(p);
  const int64_t room =
      int64_t{device_info(context.device.index).multiprocessors} * choice.kernel->blocks;
  GemmDeal deal;
  deal.whole_tiles = implicit_gemm_tiles(p, choice.plan);
  deal.blocks = std::min(deal.whole_tiles, room);
  return implicit_gemm_step(p, choice.kernel->tile, choice.plan, choice.kernel->launch, deal,
                            context);
}

}  // namespace

Conv1dKernel conv1d_implicit_gemm_sm80() {
  return {"conv1d_implicit_gemm_sm80", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
