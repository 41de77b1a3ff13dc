// The row of the Hopper GEMM that turns windows of x: which of its compiled tiles a problem runs
// on, and what it costs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/cuda/runtime.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/choose_gemm.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/implicit_gemm_step.h"
#include "layers/conv1d/cuda/turn_gemm.h"

namespace engine::cuda {
namespace {

// One operand in shared memory leaves no room for two parts of f32.
const GemmKernels<TurnKernel>& kernels() {
  static const GemmKernels<TurnKernel> all{
      {}, turn_kernels_sm90_tf32(), turn_kernels_sm90_fp16(), turn_kernels_sm90_bf16()};
  return all;
}

struct TurnChoice {
  const TurnKernel* kernel = nullptr;
  TurnPlan plan;
  double seconds = 0.0;  // predicted
};

// Nothing is faster than memory. As measured on an H200.
double predict(const Conv1dProblem& p, const TurnPlan& plan) {
  constexpr double kLaunch = 4e-6;
  constexpr double kBytesPerSecond = 3.50e12;  // reached at best
  const int64_t blocks = plan.blocks(p, kMultiprocessors);
  const double rounds = std::ceil(static_cast<double>(plan.tiles) / static_cast<double>(blocks));
  const double bytes = implicit_gemm_elements(p) * static_cast<double>(size_of(p.dtype));
  return kLaunch + std::max(rounds * plan.tile_cycles / kClock, bytes / kBytesPerSecond);
}

TurnChoice choose(const Conv1dProblem& p) {
  TurnChoice best;
  for (const TurnKernel& kernel : kernels().of(p.precision)) {
    const TurnPlan plan = plan_turn_gemm(p, kernel.rows, kernel.shared_bytes);
    if (!plan.valid) continue;
    const double seconds = predict(p, plan);
    if (best.kernel == nullptr || seconds < best.seconds) best = {&kernel, plan, seconds};
  }
  return best;
}

bool can_implement(const Conv1dProblem& p) {
  return implicit_gemm_allows(p) && !p.residual && is_bend(p.activation) &&
         choose(p).kernel != nullptr;
}

double seconds(const Conv1dProblem& p) { return choose(p).seconds; }

Tensor pack_weights(const Conv1dProblem& p, const TurnPlan& plan, const Tensor& weight) {
  Tensor packed = Tensor::empty({turn_weight_count(p, plan)}, DType::kF32);
  pack_turn_weights(p, plan, weight_reader(p, weight), packed.data<float>());
  return packed.to(p.dtype);
}

// The order of taps follows from their offsets.
std::string weight_key(const Conv1dProblem& p, const TurnPlan& plan) {
  return fmt::format("weight for turn gemm {} {} rows, taps from {} by {}", to_string(p.precision),
                     plan.rows, plan.fold.first, plan.fold.spacing);
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const TurnChoice choice = choose(p);
  const Tensor weight = context.weight(weight_key(p, choice.plan), [&] {
    return pack_weights(p, choice.plan, context.layer->parameter("weight"));
  });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  TurnGemm gemm = turn_gemm(p, choice.plan);
  gemm.weights = weight.raw();
  gemm.epilogue = {static_cast<const float*>(bias.raw()), nullptr, p.activation, {}};
  const int64_t multiprocessors = device_info(context.device.index).multiprocessors;
  Step step;
  step.enqueue = [=, launch = choice.kernel->launch, shared_bytes = choice.plan.shared_bytes(),
                  blocks = choice.plan.blocks(p, multiprocessors)](const StepContext& c) {
    TurnGemm run = gemm;
    set_operands(run, p, c.inputs[0], c.outputs[0]);
    launch(run, shared_bytes, blocks, c.stream);
    (void)weight, (void)bias;  // kept alive
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_turn_gemm_sm90() {
  return {"conv1d_turn_gemm_sm90", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
