// The row of the Hopper GEMM that turns windows of x: what it computes, and what it costs.
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/implicit_gemm_step.h"
#include "layers/conv1d/cuda/turn_gemm_step.h"

namespace engine::cuda {
namespace {

TurnChoice choose(const Conv1dProblem& p) {
  const double bytes = implicit_gemm_elements(p) * static_cast<double>(size_of(p.dtype));
  return choose_turn_gemm(p, TurnSource::kRows,
                          [&](const TurnPlan& plan) { return turn_gemm_seconds(p, plan, bytes); });
}

bool can_implement(const Conv1dProblem& p) {
  return turn_gemm_allows(p) && choose(p).kernel != nullptr;
}

double seconds(const Conv1dProblem& p) { return choose(p).seconds; }

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const TurnChoice choice = choose(p);
  const TurnParameters parameters = turn_parameters(p, choice.plan, context);
  Step step;
  step.enqueue = [=, prepared = turn_launch(p, choice.plan, parameters, context),
                  launch = choice.kernel->launch,
                  shared_bytes = choice.plan.shared_bytes()](const StepContext& c) {
    TurnGemm gemm = prepared.gemm;
    set_rows(gemm, p, c.inputs[0]);
    gemm.y = c.outputs[0];
    launch(gemm, shared_bytes, prepared.blocks, c.stream);
    (void)parameters;  // kept alive
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_turn_gemm_sm90() {
  return {"conv1d_turn_gemm_sm90", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
