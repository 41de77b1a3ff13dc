// What the rows of the Hopper GEMM that turns windows have in common: which of its compiled tiles a
// problem runs on, and its weights.
#pragma once

#include <functional>

#include "engine/layer.h"
#include "layers/conv1d/cuda/turn_gemm.h"

namespace engine::cuda {

/// A kernel with its plan; null where none can compute the problem.
struct TurnChoice {
  const TurnKernel* kernel = nullptr;
  TurnPlan plan;
  double seconds = 0.0;  ///< predicted
};

/// The fastest kernel with windows from `source`, by `predict(plan)` in seconds.
TurnChoice choose_turn_gemm(const Conv1dProblem& problem, TurnSource source,
                            const std::function<double(const TurnPlan&)>& predict);

/// Whether the epilogue of a problem is one that these kernels have, and its size one that GEMMs
/// compute.
bool turn_gemm_allows(const Conv1dProblem& problem);

/// Seconds of a launch, which moves `bytes`, as measured on an H200.
double turn_gemm_seconds(const Conv1dProblem& problem, const TurnPlan& plan, double bytes);

/// The layer's parameters on the device, packed for a plan. A step keeps them.
struct TurnParameters {
  Tensor weight;
  Tensor row_scales;  ///< of f32
  Tensor bias;
};
TurnParameters turn_parameters(const Conv1dProblem& problem, const TurnPlan& plan,
                               const PrepareContext& context);

/// One launch for problem.batch samples, but for x and y.
struct TurnLaunch {
  TurnGemm gemm;
  int64_t blocks;
};
TurnLaunch turn_launch(const Conv1dProblem& problem, const TurnPlan& plan,
                       const TurnParameters& parameters, const PrepareContext& context);

}  // namespace engine::cuda
