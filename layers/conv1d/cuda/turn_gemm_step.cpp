#include "layers/conv1d/cuda/turn_gemm_step.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/cuda/runtime.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/choose_gemm.h"
#include "layers/conv1d/cuda/implicit_gemm_step.h"

namespace engine::cuda {
namespace {

const GemmKernels<TurnKernel>& kernels() {
  static const GemmKernels<TurnKernel> all{turn_kernels_sm90_fp32(), turn_kernels_sm90_tf32(),
                                           turn_kernels_sm90_fp16(), turn_kernels_sm90_bf16()};
  return all;
}

// Everything that the order of the packed weights depends on, beside the layer. The order of taps
// follows from their offsets.
std::string weight_key(const Conv1dProblem& p, const TurnPlan& plan) {
  return fmt::format("weight for turn gemm {} {} rows, {} channels, {} planes, taps from {} by {}",
                     to_string(p.precision), plan.rows, plan.stage_channels, plan.planes.count,
                     plan.fold.first, plan.fold.spacing);
}

}  // namespace

TurnChoice choose_turn_gemm(const Conv1dProblem& p, TurnSource source,
                            const std::function<double(const TurnPlan&)>& predict) {
  TurnChoice best;
  const auto consider = [&](const TurnKernel& kernel, const TurnPlan& plan) {
    const double seconds = predict(plan);
    if (best.kernel == nullptr || seconds < best.seconds) best = {&kernel, plan, seconds};
  };
  for (const TurnKernel& kernel : kernels().of(p.precision)) {
    if (kernel.tile.source != source) continue;
    for (int splits = 1; splits <= kMostTurnSplits; ++splits) {
      TurnPlan plan = plan_turn_gemm(p, kernel.tile, kernel.shared_bytes, false, splits);
      if (!plan.valid) break;
      bool has_room = false;
      for (const bool join : {false, true}) {
        if (join && !plan.can_join(p)) continue;
        plan.lay_tiles(p, join);
        if (!plan.has_clusters(kMultiprocessors)) continue;
        has_room = true;
        consider(kernel, plan);
      }
      if (!has_room) break;  // nor for larger clusters
    }
  }
  return best;
}

bool turn_gemm_allows(const Conv1dProblem& p) {
  return implicit_gemm_allows(p) && !p.residual && is_bend(p.activation);
}

double turn_gemm_seconds(const Conv1dProblem& p, const TurnPlan& plan, double bytes) {
  constexpr double kLaunch = 3.9e-6;
  const double bytes_per_second = plan.source == TurnSource::kRows ? 3.4e12 : 3.1e12;
  constexpr double kShortRunClock = 1.94e9;
  // Rows of joined samples are stored by elements, those of the last tile behind its products.
  constexpr double kElementStore = 0.12;
  const double store = plan.joined() ? kElementStore * plan.rows * plan.columns : 0.0;
  const int64_t blocks = plan.blocks(p, kMultiprocessors);
  const double cycles =
      static_cast<double>(ceil_divide(plan.tiles, blocks)) * std::max(plan.tile_cycles, store) +
      store;
  return kLaunch + std::max(cycles / kShortRunClock, bytes / bytes_per_second);
}

TurnParameters turn_parameters(const Conv1dProblem& p, const TurnPlan& plan,
                               const PrepareContext& context) {
  TurnParameters parameters;
  parameters.weight = context.weight(weight_key(p, plan), [&] {
    const Tensor& weight = context.layer->parameter("weight");
    Tensor packed = Tensor::empty({turn_weight_count(p, plan)}, DType::kF32);
    pack_turn_weights(p, plan, weight_reader(p, weight), packed.data<float>());
    return packed.to(plan.scales() ? DType::kF16 : p.dtype);
  });
  if (plan.scales()) {
    parameters.row_scales = context.weight("scales of rows for turn gemm", [&] {
      const Tensor& weight = context.layer->parameter("weight");
      Tensor scales = Tensor::empty({p.out_channels}, DType::kF32);
      std::ranges::copy(turn_row_scales(p, weight_reader(p, weight)), scales.data<float>());
      return scales;
    });
  }
  if (p.bias) parameters.bias = context.parameter("bias");
  return parameters;
}

TurnLaunch turn_launch(const Conv1dProblem& p, const TurnPlan& plan,
                       const TurnParameters& parameters, const PrepareContext& context) {
  TurnLaunch launch{turn_gemm(p, plan),
                    plan.blocks(p, device_info(context.device.index).multiprocessors)};
  launch.gemm.weights = parameters.weight.raw();
  launch.gemm.row_scales = static_cast<const float*>(parameters.row_scales.raw());
  const auto* bias = static_cast<const float*>(parameters.bias.raw());
  launch.gemm.epilogue = {bias, nullptr, p.activation, {}};
  return launch;
}

}  // namespace engine::cuda
