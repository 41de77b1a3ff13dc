// Which of an implicit GEMM's compiled kernels a problem runs on, and how it is planned.
#pragma once

#include <vector>

#include "layers/conv1d/cuda/gemm_plan.h"

namespace engine::cuda {

/// The H200 that the cost models of these kernels are written for, and its clock under load.
inline constexpr int kMultiprocessors = 132;
inline constexpr double kClock = 1.75e9;

/// The compiled kernels of each precision.
template <typename Kernel>
struct GemmKernels {
  std::vector<Kernel> fp32, tf32, fp16, bf16;

  const std::vector<Kernel>& of(Precision precision) const {
    switch (precision) {
      case Precision::kTf32:
        return tf32;
      case Precision::kFp16:
        return fp16;
      case Precision::kBf16:
        return bf16;
      default:
        return fp32;
    }
  }
};

/// A kernel with its plan; null where none can compute the problem.
template <typename Kernel>
struct GemmChoice {
  const Kernel* kernel = nullptr;
  GemmPlan plan;
  double seconds = 0.0;  ///< predicted
};

/// The fastest of `kernels`, which outlive the choice, among those for which `suits(kernel)`, by
/// `predict(p, plan, kernel)` in seconds.
template <typename Kernel, typename Suits, typename Predict>
GemmChoice<Kernel> choose_gemm(const Conv1dProblem& p, const std::vector<Kernel>& kernels,
                               const Suits& suits, const Predict& predict) {
  GemmChoice<Kernel> best;
  const auto consider = [&](const Kernel& kernel, int64_t split) {
    const GemmPlan plan = plan_gemm(p, kernel.tile, split);
    if (!plan.valid) return;
    const double seconds = predict(p, plan, kernel);
    if (best.kernel == nullptr || seconds < best.seconds) best = {&kernel, plan, seconds};
  };
  for (const Kernel& kernel : kernels) {
    if (!suits(kernel)) continue;
    consider(kernel, 1);
    // Few output channels fill a tile's rows with several output positions each.
    for (const int64_t split : {2, 4, 8}) {
      if (!p.transposed && p.group_outputs() * split <= kernel.tile.rows) consider(kernel, split);
    }
  }
  return best;
}

}  // namespace engine::cuda
