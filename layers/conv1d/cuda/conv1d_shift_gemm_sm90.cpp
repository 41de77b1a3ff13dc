// The row of the Hopper GEMM of shifted operands: which of its compiled tiles a problem runs on,
// and what it costs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/cuda/runtime.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/choose_gemm.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/implicit_gemm_step.h"
#include "layers/conv1d/cuda/shift_gemm.h"

namespace engine::cuda {
namespace {

// Its warps shift operands of 16 bits only.
const GemmKernels<ShiftKernel>& kernels() {
  static const GemmKernels<ShiftKernel> all{
      {}, {}, shift_kernels_sm90_fp16(), shift_kernels_sm90_bf16()};
  return all;
}

struct ShiftChoice {
  const ShiftKernel* kernel = nullptr;
  ShiftPlan plan;
  double seconds = 0.0;  // predicted
};

// Nothing is faster than memory. As measured on an H200.
double predict(const Conv1dProblem& p, const ShiftPlan& plan) {
  constexpr double kLaunch = 3e-6;
  constexpr double kBytesPerSecond = 3.50e12;  // reached at best
  const int64_t blocks = plan.blocks(p, kMultiprocessors);
  const double rounds = std::ceil(static_cast<double>(plan.tiles) / static_cast<double>(blocks));
  const double bytes = implicit_gemm_elements(p) * static_cast<double>(size_of(p.dtype));
  return kLaunch + std::max(rounds * plan.tile_cycles / kClock, bytes / kBytesPerSecond);
}

ShiftChoice choose(const Conv1dProblem& p) {
  ShiftChoice best;
  for (const ShiftKernel& kernel : kernels().of(p.precision)) {
    const ShiftPlan plan = plan_shift_gemm(p, kernel.rows, kernel.shared_bytes);
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

Tensor pack_weights(const Conv1dProblem& p, const ShiftPlan& plan, const Tensor& weight) {
  Tensor packed = Tensor::empty({shift_weight_count(p, plan)}, DType::kF32);
  pack_shift_weights(p, plan, weight_reader(p, weight), packed.data<float>());
  return packed.to(p.dtype);
}

// The order of taps follows from their offsets.
std::string weight_key(const Conv1dProblem& p, const ShiftPlan& plan) {
  return fmt::format("weight for shift gemm {} {} rows, taps from {} by {}", to_string(p.precision),
                     plan.rows, plan.fold.first, plan.fold.spacing);
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const ShiftChoice choice = choose(p);
  const Tensor weight = context.weight(weight_key(p, choice.plan), [&] {
    return pack_weights(p, choice.plan, context.layer->parameter("weight"));
  });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  ShiftGemm gemm = shift_gemm(p, choice.plan);
  gemm.weights = weight.raw();
  gemm.epilogue = {static_cast<const float*>(bias.raw()), nullptr, p.activation, {}};
  const int64_t multiprocessors = device_info(context.device.index).multiprocessors;
  Step step;
  step.enqueue = [=, launch = choice.kernel->launch, plan = choice.plan,
                  blocks = choice.plan.blocks(p, multiprocessors)](const StepContext& c) {
    ShiftGemm run = gemm;
    set_operands(run, p, plan, c.inputs[0], c.outputs[0]);
    launch(run, plan.shared_bytes(), blocks, c.stream);
    (void)weight, (void)bias;  // kept alive
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_shift_gemm_sm90() {
  return {"conv1d_shift_gemm_sm90", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
