#include "layers/conv1d/cuda/conv1d_split_reduction.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"

namespace engine::cuda {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileColumns = 8;
constexpr int64_t kLanes = 32;
constexpr int64_t kFragmentBytes = 16;               // of a lane
constexpr int64_t kLimit = int64_t{1} << 30;         // of sizes that the kernel keeps in 32 bits
constexpr int64_t kMostPartials = int64_t{8} << 20;  // values: 32 MB
constexpr int64_t kMostBlocks = int64_t{1} << 30;

int64_t divide_up(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

// Sizes of the matrix products, one for each sample, group and phase.
struct Product {
  int64_t count;
  int64_t rows;     // in tiles
  int64_t columns;  // outputs of a phase
  int64_t steps;
};

Product product_of(const Conv1dProblem& p) {
  const TapProblem t = tap_problem(p);
  return {p.batch * p.groups * t.taps.phases(), divide_up(t.group_outputs, kTileRows),
          t.taps.outputs(0, t.out_length),
          divide_up(t.group_inputs * most_taps(t.taps), split_reduction_depth(p.dtype))};
}

bool can_implement(const Conv1dProblem& p) {
  const TapProblem t = tap_problem(p);
  if (p.groups > 1 && p.group_outputs() < 4) return false;
  if (t.taps.phases() > kSplitReductionPhases) return false;
  const int64_t span = p.dilation * (p.kernel_size - 1) + 1;
  const int64_t padded =
      std::max(p.in_length, p.out_length) + p.pad_left + p.pad_right + p.stride + span;
  if (padded >= kLimit || p.group_inputs() >= kLimit / padded) return false;
  const int64_t taps = most_taps(t.taps);
  if (p.reduction() >= kLimit / taps || p.out_channels >= kLimit / 2) return false;
  const Product product = product_of(p);
  return product.rows <= 65535 && product.rows * p.groups < kLimit / product.steps &&
         product.count < kMostBlocks / divide_up(product.columns, kTileColumns);
}

float round_to_tf32(float value) {
  if (!std::isfinite(value)) return value;
  return std::bit_cast<float>((std::bit_cast<uint32_t>(value) + 0x1000u) & ~0x1fffu);
}

double seconds(const Conv1dProblem& p) {
  return split_reduction_seconds(p, split_reduction_cut(p));
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const SplitReductionCut cut = split_reduction_cut(p);
  const Tensor weights = context.weight(
      p.precision == Precision::kTf32 ? "weight in fragments, rounded" : "weight in fragments",
      [&] {
        return pack_split_reduction_weights(p,
                                            weight_reader(p, context.layer->parameter("weight")));
      });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  Step step;
  if (cut.splits > 1) {
    step.workspace_bytes =
        p.batch * p.out_channels * p.out_length * cut.splits * static_cast<int64_t>(sizeof(float));
  }
  step.enqueue = [=](const StepContext& c) {
    split_reduction(
        p, cut,
        {c.inputs[0], weights.raw(), static_cast<const float*>(bias.raw()),
         p.residual ? c.inputs[1] : nullptr, static_cast<float*>(c.workspace), c.outputs[0]},
        c.stream);
  };
  return step;
}

}  // namespace

int64_t most_taps(const TapRule& rule) {
  int64_t most = 1;
  for (int64_t r = 0; r < rule.phases(); ++r) most = std::max(most, rule.phase(r).count);
  return most;
}

int64_t split_reduction_depth(DType dtype) { return dtype == DType::kF32 ? 8 : 16; }

Tensor pack_split_reduction_weights(
    const Conv1dProblem& problem,
    const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight) {
  const TapProblem t = tap_problem(problem);
  const Product product = product_of(problem);
  const int64_t most = most_taps(t.taps);
  const int64_t depth = split_reduction_depth(problem.dtype);
  const int64_t width = kFragmentBytes / static_cast<int64_t>(size_of(problem.dtype));
  const int64_t word = width / 4;  // values in 4 bytes
  Tensor packed = Tensor::zeros(
      {t.groups, t.taps.phases(), product.rows, product.steps, kLanes, width}, DType::kF32);
  float* target = packed.data<float>();
  // Value i of a lane, as the kernel's fragments hold it.
  const auto value = [&](int64_t g, const PhaseTaps& taps, int64_t tile, int64_t step, int64_t lane,
                         int64_t i) {
    const int64_t m = tile * kTileRows + lane / 4 + i / word % 2 * 8;
    const int64_t slot = i / word / 2 * word + i % word;
    const int64_t term = step * depth + 4 * slot + lane % 4;
    const int64_t c = term / most, tap = term % most;
    if (m >= t.group_outputs || c >= t.group_inputs || tap >= taps.count) return 0.0f;
    return weight(g, m, c, taps.first + tap * taps.step);
  };
  for (int64_t g = 0; g < t.groups; ++g) {
    for (int64_t r = 0; r < t.taps.phases(); ++r) {
      const PhaseTaps taps = t.taps.phase(r);
      for (int64_t tile = 0; tile < product.rows; ++tile) {
        for (int64_t step = 0; step < product.steps; ++step) {
          for (int64_t lane = 0; lane < kLanes; ++lane) {
            for (int64_t i = 0; i < width; ++i, ++target) {
              *target = value(g, taps, tile, step, lane, i);
              if (problem.precision == Precision::kTf32) *target = round_to_tf32(*target);
            }
          }
        }
      }
    }
  }
  return packed.to(problem.dtype);
}

// An H200, as measured for every cut of problems from 16 channels and 64 positions to 1024 channels
// and 768 channels with 5 taps.
double split_reduction_seconds(const Conv1dProblem& p, const SplitReductionCut& cut) {
  constexpr double kClock = 1.7e9;
  constexpr double kProcessors = 132.0;
  const Product product = product_of(p);
  const int slots = p.dtype == DType::kF32 ? 2 : 4;
  const double blocks =
      static_cast<double>(product.count * divide_up(product.rows, cut.row_tiles) *
                          divide_up(product.columns, kTileColumns * cut.column_tiles) * cut.splits);
  const double steps = static_cast<double>(divide_up(product.steps, cut.splits));
  const double warp_steps = std::ceil(steps / cut.warps);
  const double unroll = split_reduction_unroll(cut.row_tiles, cut.column_tiles, slots);
  const double latency = 600.0 * std::ceil(warp_steps / unroll);
  const double per_step = 8.0 * cut.row_tiles + 2.0 * slots * cut.column_tiles;
  const double busy = std::ceil(blocks / kProcessors) * steps * per_step;
  return 2.5e-6 + (cut.splits > 1 ? 1.5e-6 : 0.0) + (latency + busy) / kClock;
}

SplitReductionCut split_reduction_cut(const Conv1dProblem& p) {
  const Product product = product_of(p);
  const int64_t outputs = p.batch * p.out_channels * p.out_length;
  SplitReductionCut best;
  double least = -1.0;
  for (const auto& [row_tiles, column_tiles] : {std::pair{1, 1}, {1, 2}, {1, 4}, {2, 4}}) {
    for (int splits = 1; splits <= 64; splits *= 2) {
      if (splits > 1 && (splits > product.steps || outputs * splits > kMostPartials)) break;
      SplitReductionCut cut{row_tiles, column_tiles, 1, splits};
      cut.warps = static_cast<int>(std::min<int64_t>(
          split_reduction_most_warps(row_tiles, column_tiles), divide_up(product.steps, splits)));
      const double seconds = split_reduction_seconds(p, cut);
      if (least < 0.0 || seconds < least) least = seconds, best = cut;
    }
  }
  return best;
}

Conv1dKernel conv1d_split_reduction() {
  return {"conv1d_split_reduction_sm80", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
