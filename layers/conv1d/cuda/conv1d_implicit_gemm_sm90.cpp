// The row of the Hopper implicit GEMM: which of its compiled tiles a problem runs on, and what it
// costs.
#include <algorithm>
#include <cmath>

#include "engine/cuda/runtime.h"
#include "layers/conv1d/cuda/choose_gemm.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/implicit_gemm_seconds.h"

namespace engine::cuda {
namespace {

const GemmKernels<Sm90Kernel>& kernels() {
  static const GemmKernels<Sm90Kernel> all{sm90_kernels_fp32(), sm90_kernels_tf32(),
                                           sm90_kernels_fp16(), sm90_kernels_bf16()};
  return all;
}

bool is_plain(const Conv1dProblem& p) {
  return is_bend(p.activation) && is_bend(p.residual_activation);
}

// Outputs that a block stores in a cycle. Phases are interleaved on the way.
double store_rate(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  const auto bytes = static_cast<double>(size_of(p.dtype));
  if (plan.fold.phases > 1) return tile.columns == 128 ? 2.2 : 1.4;
  return (tile.columns * size_of(p.dtype) <= 512 ? 29.0 : 20.0) / bytes;
}

// Ranks plans. A block computes `waves` tiles one after the other: stages, then the stores, which
// two teams hide behind each other's stages; where operands are split and weights come along with
// them, they also hinder each other. Nothing is faster than memory. Rates as measured.
double predict(const Conv1dProblem& p, const GemmPlan& plan, const Sm90Kernel& kernel) {
  constexpr double kLaunch = 4e-6;
  constexpr double kHindrance = 1.1;
  constexpr double kStreaming = 1.10;  // in TF32: weights come later than a stage alone says,
  constexpr double kRounding = 1.08;   // and windows are rounded
  // Reached at best.
  const double bytes_per_second =
      p.dtype == DType::kF32 ? 3.1e12 : (kernel.tile.columns == 128 ? 2.4e12 : 2.9e12);
  const auto tiles = static_cast<double>(implicit_gemm_tiles(p, plan));
  const double waves = std::ceil(tiles / kMultiprocessors);
  const double store = kernel.tile.rows * kernel.tile.columns / store_rate(p, plan, kernel.tile);
  double cycles = kernel.teams > 1 ? std::max(plan.tile_cycles, store) : plan.tile_cycles + store;
  if (kernel.teams > 1 && kernel.tile.parts == 2 && !plan.resident) cycles *= kHindrance;
  if (p.precision == Precision::kTf32) cycles *= plan.resident ? kRounding : kStreaming;
  const double bytes = implicit_gemm_elements(p) * static_cast<double>(size_of(p.dtype));
  return kLaunch + std::max(waves * cycles / kClock, bytes / bytes_per_second);
}

GemmChoice<Sm90Kernel> choose(const Conv1dProblem& p) {
  return choose_gemm(
      p, kernels().of(p.precision),
      [&](const Sm90Kernel& kernel) { return kernel.plain == is_plain(p); }, predict);
}

bool can_implement(const Conv1dProblem& p) {
  return implicit_gemm_allows(p) && choose(p).kernel != nullptr;
}

double seconds(const Conv1dProblem& p) {
  const GemmChoice<Sm90Kernel> choice = choose(p);
  if (choice.kernel->tile.parts == 2) return choice.seconds;
  return implicit_gemm_seconds(p, *choice.kernel, choice.plan);
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const GemmChoice<Sm90Kernel> choice = choose(p);
  return persistent_gemm_step(p, choice.kernel->tile, choice.plan, choice.kernel->launch, context);
}

}  // namespace

bool runs_sm90() {
#if ENGINE_WITH_SM90A
  return device_count() == 0 || device_info(0).compute_capability / 10 == 9;
#else
  return false;
#endif
}

Conv1dKernel conv1d_implicit_gemm_sm90() {
  return {"conv1d_implicit_gemm_sm90", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
