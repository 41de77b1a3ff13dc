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

// Ranks plans. A multiprocessor computes `waves` tiles, one after the other or two in turn: stages,
// each at least as long as its loads take, then the stores. Nothing is faster than memory. Fits an
// H200 within a third.
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

// Elements of a window that are loaded in pairs, or one by one, where rows of x are odd; and that
// are loaded with a position each, where a stage's channels do not all exist, or slots are no
// neighbours.
struct LoadedElements {
  double in_rows;
  double any;
};

LoadedElements loaded_elements(const Conv1dProblem& p, const GemmPlan& plan) {
  const double all = static_cast<double>(plan.window_units() * plan.unit_channels * plan.unit_taps);
  const double any = single_share(p, plan);
  return {(1.0 - any) * all, any * all};
}

// Cycles of a multiprocessor for a stage of one tile, of which it has `together` at once: what its
// instructions take, or what a block waits for while the others do not fill the time. As measured
// on an H200.
double stage_cycles(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile,
                    double together) {
  constexpr double kStage = 940.0;
  constexpr double kWaits = 1770.0;       // of a block alone, which
  constexpr double kAloneProducts = 1.8;  // takes longer for its products
  constexpr double kAloneLoads = 3.5;     // and loads
  constexpr double kSingle = 1.6;         // times the time of pairs
  const bool wide = size_of(p.dtype) == 4;
  const LoadedElements elements = loaded_elements(p, plan);
  const double loads =
      elements.in_rows * (p.in_length % 2 != 0 ? kSingle : 1.0) / (wide ? 9.0 : 12.0) +
      elements.any / (wide ? 2.0 : 2.75);
  // In both types, a unit is as many products of 16 bytes.
  const double products = plan.steps * tile.rows * tile.columns / 57.0;
  return std::max(products + loads + kStage,
                  (kAloneProducts * products + kAloneLoads * loads + kWaits) / together);
}

// Cycles for the stores of a tile.
double store_cycles(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  constexpr double kOutputsPerCycle = 2.7;
  constexpr double kPhasedOutputsPerCycle = 2.0;
  constexpr double kHalves = 1.17;  // of 16-bit outputs are stored at the same time
  const double rate = plan.fold.phases > 1 ? kPhasedOutputsPerCycle : kOutputsPerCycle;
  return tile.rows * tile.columns / (rate * (size_of(p.dtype) == 2 ? kHalves : 1.0));
}

double seconds(const Conv1dProblem& p) {
  constexpr double kLaunch = 3.2e-6;
  constexpr double kBytesPerSecond = 3.1e12;
  const GemmChoice<Sm80Kernel> choice = choose(p);
  const GemmTile& tile = choice.kernel->tile;
  if (tile.parts == 2) return choice.seconds;
  const auto tiles = static_cast<double>(implicit_gemm_tiles(p, choice.plan));
  const double waves = std::ceil(tiles / kMultiprocessors);
  const double together = std::min<double>(choice.kernel->blocks, waves);
  const double cycles = choice.plan.stages() * stage_cycles(p, choice.plan, tile, together) +
                        store_cycles(p, choice.plan, tile);
  const double bytes = implicit_gemm_elements(p) * static_cast<double>(size_of(p.dtype));
  return kLaunch + std::max(waves * cycles / kClock, bytes / kBytesPerSecond);
}

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
