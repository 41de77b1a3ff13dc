#include "layers/conv1d/cuda/implicit_gemm_step.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/cuda/runtime.h"
#include "layers/conv1d/conv1d_taps.h"

namespace engine::cuda {
namespace {

constexpr int64_t kMostStride = 1024;  // of what a tile reads
constexpr int64_t kMostDilation = 1 << 20;
// Tensor cores truncate when they add: three TF32 products for one are as accurate as f32 where a
// sum has at least so many.
constexpr int64_t kFewestSplitProducts = 16;

Tensor pack_weights(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                    const Tensor& weight) {
  Tensor packed = Tensor::empty({packed_weight_count(p, plan)}, DType::kF32);
  pack_gemm_weights(p, tile, plan, weight_reader(p, weight), packed.data<float>());
  return packed.to(p.dtype);
}

// Everything that the order of the packed weights depends on, beside the layer.
std::string weight_key(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan) {
  return fmt::format("weight for {} gemm {} {}x{} parts {} phases {} stages {}x{} of {}x{} by {}",
                     tile.gathers ? "gather" : "implicit", to_string(p.precision), tile.rows,
                     tile.columns, tile.parts, plan.fold.phases, plan.channel_stages,
                     plan.tap_stages, plan.stage_units, plan.stage_taps, plan.unit_taps);
}

}  // namespace

bool implicit_gemm_allows(const Conv1dProblem& p) {
  if (p.stride > kMostStride || p.kernel_size > kMostGemmTaps) return false;
  if (p.dilation > kMostDilation) return false;
  if (p.precision == Precision::kFp32 && p.reduction() < kFewestSplitProducts) return false;
  if (p.groups * p.out_channels > INT32_MAX / 8 || p.group_inputs() > (1 << 20)) return false;
  return fold_phases(tap_problem(p).taps, 1).taps <= kMostGemmTaps;
}

double implicit_gemm_elements(const Conv1dProblem& p) {
  return static_cast<double>(p.batch) *
         (static_cast<double>(p.in_channels) * static_cast<double>(p.in_length) +
          static_cast<double>(p.out_channels) * static_cast<double>(p.out_length));
}

Step implicit_gemm_step(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                        ImplicitGemmLaunch launch, const GemmDeal& deal,
                        const PrepareContext& context) {
  const Tensor weight = context.weight(weight_key(p, tile, plan), [&] {
    return pack_weights(p, tile, plan, context.layer->parameter("weight"));
  });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  ImplicitGemm gemm = implicit_gemm(p, tile, plan, deal);
  gemm.weights = weight.raw();
  gemm.epilogue = {static_cast<const float*>(bias.raw()), nullptr, p.activation,
                   p.residual_activation};
  const int64_t sum_bytes = deal.partial_sum_bytes(tile), arrival_bytes = deal.arrival_bytes();
  Step step;
  step.workspace_bytes = sum_bytes + arrival_bytes;
  step.enqueue = [=, plan_bytes = plan.shared_bytes(),
                  device = context.device](const StepContext& c) {
    ImplicitGemm run = gemm;
    set_operands(run, c.inputs[0], c.outputs[0], p.dtype);
    run.epilogue.residual = p.residual ? c.inputs[1] : nullptr;
    if (deal.cut_tiles > 0) {
      char* arrivals = static_cast<char*>(c.workspace) + sum_bytes;
      run.partial_sums = static_cast<float*>(c.workspace);
      run.arrivals = reinterpret_cast<uint32_t*>(arrivals);
      fill_async(arrivals, 0, arrival_bytes, device, c.stream);
    }
    launch(run, plan_bytes, deal.blocks, c.stream);
    (void)weight, (void)bias;  // kept alive
  };
  return step;
}

Step persistent_gemm_step(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                          ImplicitGemmLaunch launch, const PrepareContext& context) {
  const int64_t multiprocessors = device_info(context.device.index).multiprocessors;
  return implicit_gemm_step(p, tile, plan, launch, deal_tiles(p, tile, plan, multiprocessors),
                            context);
}

}  // namespace engine::cuda
