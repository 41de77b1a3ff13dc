// The row of the Hopper implicit GEMM: which of its compiled tiles a problem runs on, how its
// weights are packed, and what it costs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/cuda/runtime.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/implicit_gemm_launch.h"

namespace engine::cuda {
namespace {

constexpr int64_t kMostTaps = 1024;    // beyond that, an FFT is faster
constexpr int64_t kMostStride = 1024;  // of what a tile reads
constexpr int kMultiprocessors = 132;  // of the H200 that the cost model is written for
constexpr double kClock = 1.75e9;      // its clock under load

const std::vector<Sm90Kernel>& kernels_of(Precision precision) {
  static const std::vector<Sm90Kernel> fp32 = sm90_kernels_fp32();
  static const std::vector<Sm90Kernel> tf32 = sm90_kernels_tf32();
  static const std::vector<Sm90Kernel> fp16 = sm90_kernels_fp16();
  static const std::vector<Sm90Kernel> bf16 = sm90_kernels_bf16();
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

bool is_plain(const Conv1dProblem& p) {
  const Activation::Kind kind = p.activation.kind;
  return !p.residual && (kind == Activation::Kind::kIdentity || kind == Activation::Kind::kReLU);
}

double element_count(const Conv1dProblem& p) {
  return static_cast<double>(p.batch) *
         (static_cast<double>(p.in_channels) * static_cast<double>(p.in_length) +
          static_cast<double>(p.out_channels) * static_cast<double>(p.out_length));
}

// A block computes `waves` tiles one after the other: stages, then the stores, which two teams hide
// behind each other's stages. Nothing is faster than memory.
double predict(const Conv1dProblem& p, const GemmPlan& plan, const Sm90Kernel& kernel) {
  constexpr double kLaunch = 4e-6;
  constexpr double kFirstTile = 12e-6;  // from a cold instruction cache
  constexpr double kStoreBytesPerCycle = 12.0;
  constexpr double kBytesPerSecond = 3.4e12;
  const double tiles = static_cast<double>(p.batch * plan.column_tiles) *
                       static_cast<double>(plan.row_tiles * p.groups);
  const double waves = std::ceil(tiles / kMultiprocessors);
  const double store = kernel.tile.rows * kernel.tile.columns *
                       static_cast<double>(size_of(p.dtype)) / kStoreBytesPerCycle;
  const double cycles =
      kernel.teams > 1 ? std::max(plan.tile_cycles, store) : plan.tile_cycles + store;
  const double bytes = element_count(p) * static_cast<double>(size_of(p.dtype));
  return kLaunch + kFirstTile + std::max(waves * cycles / kClock, bytes / kBytesPerSecond);
}

// The tile that a problem runs on; its plan is not valid where none can.
struct Choice {
  const Sm90Kernel* kernel = nullptr;
  GemmPlan plan;
  double seconds = 0.0;
};

void consider(const Conv1dProblem& p, const Sm90Kernel& kernel, int64_t split, Choice& best) {
  const GemmPlan plan = plan_gemm(p, kernel.tile, split);
  if (!plan.valid) return;
  const double seconds = predict(p, plan, kernel);
  if (best.kernel == nullptr || seconds < best.seconds) best = {&kernel, plan, seconds};
}

Choice choose(const Conv1dProblem& p) {
  Choice best;
  for (const Sm90Kernel& kernel : kernels_of(p.precision)) {
    if (kernel.plain != is_plain(p)) continue;
    consider(p, kernel, 1, best);
    // Few output channels fill a tile's rows with several output positions each.
    for (const int64_t split : {2, 4, 8}) {
      if (!p.transposed && p.group_outputs() * split <= kernel.tile.rows) {
        consider(p, kernel, split, best);
      }
    }
  }
  return best;
}

bool can_implement(const Conv1dProblem& p) {
  if (p.stride > kMostStride || p.kernel_size > kMostTaps) return false;
  if (p.groups * p.out_channels > INT32_MAX / 8 || p.group_inputs() > (1 << 20)) return false;
  if (fold_phases(tap_problem(p).taps, 1).taps > kMostTaps) return false;
  return choose(p).kernel != nullptr;
}

double seconds(const Conv1dProblem& p) { return choose(p).seconds; }

Tensor pack_weights(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                    const Tensor& weight) {
  Tensor packed = Tensor::empty({packed_weight_count(p, plan)}, DType::kF32);
  pack_gemm_weights(p, tile, plan, weight_reader(p, weight), packed.data<float>());
  return packed.to(p.dtype);
}

// Everything that the order of the packed weights depends on, beside the layer.
std::string weight_key(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan) {
  return fmt::format("weight for wgmma {} {}x{} parts {} phases {} stages {}x{} of {}x{}",
                     to_string(p.precision), tile.rows, tile.columns, tile.parts, plan.fold.phases,
                     plan.channel_stages, plan.tap_stages, plan.stage_units, plan.stage_taps);
}

// Blocks: one for each multiprocessor, and with resident weights as many for each row tile.
int64_t block_count(const ImplicitGemm& gemm, int64_t multiprocessors) {
  if (!gemm.resident) return std::min(gemm.tiles, multiprocessors);
  const int64_t row_tiles = int64_t{gemm.row_tiles} * gemm.groups;
  return row_tiles * std::clamp<int64_t>(multiprocessors / row_tiles, 1, gemm.tiles / row_tiles);
}

bool is_even(const void* address, DType dtype) {
  return reinterpret_cast<uintptr_t>(address) % (2 * size_of(dtype)) == 0;
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const Choice choice = choose(p);
  const GemmTile& tile = choice.kernel->tile;
  const Tensor weight = context.weight(weight_key(p, tile, choice.plan), [&] {
    return pack_weights(p, tile, choice.plan, context.layer->parameter("weight"));
  });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  ImplicitGemm gemm = implicit_gemm(p, tile, choice.plan);
  gemm.weights = weight.raw();
  gemm.epilogue = {static_cast<const float*>(bias.raw()), nullptr, p.activation,
                   p.residual_activation};
  const int64_t blocks = block_count(gemm, device_info(context.device.index).multiprocessors);
  Step step;
  step.enqueue = [=, plan_bytes = choice.plan.shared_bytes(),
                  launch = choice.kernel->launch](const StepContext& c) {
    ImplicitGemm run = gemm;
    run.x = c.inputs[0];
    run.y = c.outputs[0];
    run.epilogue.residual = p.residual ? c.inputs[1] : nullptr;
    run.even_rows = gemm.even_rows && is_even(run.x, p.dtype);
    run.odd_rows = gemm.odd_rows || !is_even(run.y, p.dtype);
    launch(run, plan_bytes, blocks, c.stream);
    (void)weight, (void)bias;  // kept alive
  };
  return step;
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
