#include "layers/conv1d/cuda/implicit_gemm_step.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/cuda/runtime.h"
#include "layers/conv1d/conv1d_taps.h"

namespace engine::cuda {
namespace {

constexpr int64_t kMostTaps = 1024;    // beyond that, an FFT is faster
constexpr int64_t kMostStride = 1024;  // of what a tile reads
constexpr int64_t kMostDilation = 1 << 20;

Tensor pack_weights(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                    const Tensor& weight) {
  Tensor packed = Tensor::empty({packed_weight_count(p, plan)}, DType::kF32);
  pack_gemm_weights(p, tile, plan, weight_reader(p, weight), packed.data<float>());
  return packed.to(p.dtype);
}

// Everything that the order of the packed weights depends on, beside the layer.
std::string weight_key(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan) {
  return fmt::format("weight for {} gemm {} {}x{} parts {} phases {} stages {}x{} of {}x{}",
                     tile.gathers ? "gather" : "implicit", to_string(p.precision), tile.rows,
                     tile.columns, tile.parts, plan.fold.phases, plan.channel_stages,
                     plan.tap_stages, plan.stage_units, plan.stage_taps);
}

int64_t persistent_blocks(const Conv1dProblem& p, const GemmPlan& plan, int64_t multiprocessors) {
  const int64_t tiles = implicit_gemm_tiles(p, plan);
  if (!plan.resident) return std::min(tiles, multiprocessors);
  const int64_t row_tiles = int64_t{plan.row_tiles} * plan.groups;
  return row_tiles * std::clamp<int64_t>(multiprocessors / row_tiles, 1, tiles / row_tiles);
}

}  // namespace

bool implicit_gemm_allows(const Conv1dProblem& p) {
  if (p.stride > kMostStride || p.kernel_size > kMostTaps) return false;
  if (p.dilation > kMostDilation) return false;
  if (p.groups * p.out_channels > INT32_MAX / 8 || p.group_inputs() > (1 << 20)) return false;
  return fold_phases(tap_problem(p).taps, 1).taps <= kMostTaps;
}

double implicit_gemm_elements(const Conv1dProblem& p) {
  return static_cast<double>(p.batch) *
         (static_cast<double>(p.in_channels) * static_cast<double>(p.in_length) +
          static_cast<double>(p.out_channels) * static_cast<double>(p.out_length));
}

int64_t implicit_gemm_tiles(const Conv1dProblem& p, const GemmPlan& plan) {
  return p.batch * plan.column_tiles * plan.row_tiles * p.groups;
}

Step implicit_gemm_step(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                        ImplicitGemmLaunch launch, int64_t blocks, const PrepareContext& context) {
  const Tensor weight = context.weight(weight_key(p, tile, plan), [&] {
    return pack_weights(p, tile, plan, context.layer->parameter("weight"));
  });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  ImplicitGemm gemm = implicit_gemm(p, tile, plan);
  gemm.weights = weight.raw();
  gemm.epilogue = {static_cast<const float*>(bias.raw()), nullptr, p.activation,
                   p.residual_activation};
  Step step;
  step.enqueue = [=, plan_bytes = plan.shared_bytes()](const StepContext& c) {
    ImplicitGemm run = gemm;
    set_operands(run, c.inputs[0], c.outputs[0], p.dtype);
    run.epilogue.residual = p.residual ? c.inputs[1] : nullptr;
    launch(run, plan_bytes, blocks, c.stream);
    (void)weight, (void)bias;  // kept alive
  };
  return step;
}

Step persistent_gemm_step(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                          ImplicitGemmLaunch launch, const PrepareContext& context) {
  const int64_t multiprocessors = device_info(context.device.index).multiprocessors;
  return implicit_gemm_step(p, tile, plan, launch, persistent_blocks(p, plan, multiprocessors),
                            context);
}

}  // namespace engine::cuda
