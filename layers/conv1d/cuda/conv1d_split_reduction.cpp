#include "layers/conv1d/cuda/conv1d_split_reduction.h"

#include <algorithm>

#include "engine/cuda/blas.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"

namespace engine::cuda {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileColumns = 8;
constexpr int64_t kLanes = 32;
constexpr int64_t kLimit = int64_t{1} << 30;         // of sizes that the kernel keeps in 32 bits
constexpr int64_t kMostPartials = int64_t{8} << 20;  // values: 32 MB
constexpr int64_t kMostShared = 99 * 1024;           // bytes: what a block may have since Ampere
constexpr int64_t kMostBlocks = int64_t{1} << 30;

constexpr int kMostSplits = 64;
constexpr int64_t kProcessors = 132;

using Inputs = SplitReductionInputs;

constexpr SplitReductionCut kTiles[] = {
    {Inputs::kSingle, 1, 1}, {Inputs::kSingle, 1, 2}, {Inputs::kSingle, 1, 4},
    {Inputs::kSingle, 2, 4}, {Inputs::kSingle, 4, 4}, {Inputs::kPaired, 1, 2},
    {Inputs::kPaired, 2, 4}, {Inputs::kPaired, 4, 4}, {Inputs::kPaired, 2, 8},
    {Inputs::kStaged, 1, 2}, {Inputs::kStaged, 1, 4}, {Inputs::kStaged, 2, 4}};

int64_t divide_up(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

// Values in a word of the reduction.
int64_t word_width(const Conv1dProblem& p) { return p.dtype == DType::kF32 ? 1 : 2; }

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
          t.taps.outputs(0, t.out_length), split_reduction_steps(p)};
}

int64_t blocks_of(const Conv1dProblem& p, const SplitReductionCut& cut) {
  const Product product = product_of(p);
  return product.count * divide_up(product.rows, cut.row_tiles) *
         divide_up(product.columns, kTileColumns * cut.column_tiles) * cut.splits;
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
  if (!split_reduction_allows(p, split_reduction_cut(p))) return false;
  const Product product = product_of(p);
  return product.rows <= 65535 && product.rows * p.groups < kLimit / product.steps &&
         product.count < kMostBlocks / divide_up(product.columns, kTileColumns);
}

// Microseconds on an H200, fitted to all cuts of some 30 problems in every precision. What warps
// wait for once, in each wave of blocks and in each round of loads; and what the busiest processor
// executes for every step, warp and tile of its blocks.
struct Cost {
  double start;          // of a launch
  double warp;           // more of it for each warp of a block
  double wave;           // of blocks after the first
  double round;          // of loads, by a warp to registers or by a block to shared memory
  double waited_input;   // a value of a column tile, of one warp
  double output;         // of a tile, shared by the warps
  double weights;        // of a row tile in a step
  double product;        // of two tiles in a step
  double input;          // a value of a column tile in a step
  double sum;            // of a tile and warp, in shared memory
  double staged_input;   // a value, on its way to shared memory
  double second_kernel;  // where there are splits
  double split;          // more of it for each of them
  double partial;        // a partial sum, written and read
};
constexpr Cost kDirectCost = {1.82,    0.0044, 0.87,   0.168, 0.0060, 0.51,  0.0039,
                              0.00182, 0.0031, 0.0048, 0.0,   1.51,   0.025, 7.7e-7};
constexpr Cost kStagedCost = {2.01,    0.0186, 0.35,   0.233,  0.0114, 0.30,  0.0061,
                              0.00088, 0.0,    0.0079, 3.7e-5, 1.07,   0.037, 4.5e-6};

// Cuts are ranked by split_reduction_seconds(). All of them store the tiles of all blocks, which
// takes the busiest processor longer than that says; products take it less.
double seconds(const Conv1dProblem& p) {
  constexpr double kStagedTile = 0.034e-6;
  constexpr double kTile = 0.017e-6;
  constexpr double kProduct = 0.00095e-6;  // less, of a step and tile
  const SplitReductionCut cut = split_reduction_cut(p);
  const auto tiles = static_cast<double>(divide_up(blocks_of(p, cut), kProcessors) * cut.row_tiles *
                                         cut.column_tiles);
  const auto steps = static_cast<double>(divide_up(split_reduction_steps(p), cut.splits));
  return split_reduction_seconds(p, cut) +
         tiles * ((cut.inputs == Inputs::kStaged ? kStagedTile : kTile) - kProduct * steps);
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

int64_t split_reduction_steps(const Conv1dProblem& p) {
  const int64_t rows = divide_up(p.group_inputs(), word_width(p));
  return divide_up(rows * most_taps(tap_problem(p).taps), kSplitReductionDepth);
}

SplitReductionStage split_reduction_stage(const Conv1dProblem& p, const SplitReductionCut& cut) {
  const int64_t words = divide_up(split_reduction_steps(p), cut.splits) * kSplitReductionDepth;
  // A part of the reduction may begin and end within a row.
  const int64_t rows = divide_up(words, p.kernel_size) + 1;
  const int64_t columns = kTileColumns * cut.column_tiles;
  const int64_t span = (columns - 1) * p.stride + (p.kernel_size - 1) * p.dilation + 1;
  // A quarter of a warp's lanes read neighbouring words; the four quarters read neighbouring rows,
  // or taps, which should not meet in a bank.
  const int64_t wanted = p.kernel_size == 1 ? 8 : 16;
  return {rows, span, span + ((wanted - span) % 32 + 32) % 32};
}

int64_t split_reduction_shared_bytes(const Conv1dProblem& p, const SplitReductionCut& cut) {
  const int64_t rows = kTileRows * cut.row_tiles;
  const int64_t sums = cut.warps * rows * kTileColumns * cut.column_tiles;
  const int64_t staged = cut.inputs == Inputs::kStaged ? split_reduction_stage(p, cut).bytes() : 0;
  return rows * 4 + std::max(sums * 4, staged);
}

bool split_reduction_allows(const Conv1dProblem& p, const SplitReductionCut& cut) {
  const int64_t outputs = p.batch * p.out_channels * p.out_length;
  if (cut.splits > 1 &&
      (cut.splits > split_reduction_steps(p) || outputs > kMostPartials / cut.splits)) {
    return false;
  }
  if (cut.inputs == Inputs::kSingle) return p.padding_mode == PaddingMode::kZeros;
  if (cut.inputs == Inputs::kPaired) {
    return p.kernel_size == 1 && p.stride == 1 && p.pad_left == 0 && p.in_length % 2 == 0 &&
           p.in_length == p.out_length && !p.transposed;
  }
  return !p.transposed && split_reduction_stage(p, cut).span <= kLanes * cut.warps &&
         split_reduction_shared_bytes(p, cut) <= kMostShared;
}

Tensor pack_split_reduction_weights(
    const Conv1dProblem& problem,
    const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight) {
  const TapProblem t = tap_problem(problem);
  const Product product = product_of(problem);
  const int64_t most = most_taps(t.taps);
  const int64_t word = word_width(problem);
  const int64_t width = 4 * word;  // values of a lane's fragment
  Tensor packed = Tensor::zeros(
      {t.groups, t.taps.phases(), product.rows, product.steps, kLanes, width}, DType::kF32);
  float* target = packed.data<float>();
  // Value i of a lane, as the kernel's fragments hold it.
  const auto value = [&](int64_t g, const PhaseTaps& taps, int64_t tile, int64_t step, int64_t lane,
                         int64_t i) {
    const int64_t m = tile * kTileRows + lane / 4 + i / word % 2 * 8;
    const int64_t index = step * kSplitReductionDepth + i / word / 2 * 4 + lane % 4;
    const int64_t c = index / most * word + i % word, tap = index % most;
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

double split_reduction_seconds(const Conv1dProblem& p, const SplitReductionCut& cut) {
  const Product product = product_of(p);
  const int64_t width = word_width(p);
  const int64_t tiles = cut.row_tiles * cut.column_tiles;
  const int64_t steps = divide_up(product.steps, cut.splits);
  const int64_t warp_steps = divide_up(steps, cut.warps);
  const int64_t blocks_of_one = divide_up(blocks_of(p, cut), kProcessors);
  const bool staged = cut.inputs == Inputs::kStaged;
  // Two parts of an f32 operand fill more registers.
  const bool large = tiles >= 16 || (tiles == 8 && p.precision == Precision::kFp32 && !staged);
  const int64_t resident = std::max<int64_t>(1, (large ? 8 : 16) / cut.warps);
  const auto waves = static_cast<double>(divide_up(blocks_of_one, resident));
  const double products = p.precision == Precision::kFp32 ? 3.0 : 1.0;

  // A pair is loaded as fast as one.
  const double loads =
      static_cast<double>(cut.column_tiles * width) * (cut.inputs == Inputs::kPaired ? 0.5 : 1.0);
  const SplitReductionStage stage = split_reduction_stage(p, cut);
  const int64_t rounds =
      staged ? divide_up(stage.rows,
                         std::max<int64_t>(kLanes * cut.warps / stage.span, 1) * 16 / width)
             : divide_up(warp_steps,
                         split_reduction_unroll(cut.inputs, cut.row_tiles, cut.column_tiles,
                                                static_cast<int>(width)));
  const Cost& cost = staged ? kStagedCost : kDirectCost;
  const double of_wave = cost.round * static_cast<double>(rounds) +
                         cost.waited_input * loads * static_cast<double>(warp_steps) +
                         cost.output * static_cast<double>(tiles) / cut.warps;
  double of_block =
      static_cast<double>(steps) *
          (cost.weights * cut.row_tiles + cost.product * products * tiles + cost.input * loads) +
      cost.sum * static_cast<double>(cut.warps * tiles);
  if (staged) {
    of_block += cost.staged_input * static_cast<double>(stage.rows * stage.span * width);
  }
  double time = cost.start + cost.warp * cut.warps + cost.wave * (waves - 1.0) + waves * of_wave +
                static_cast<double>(blocks_of_one) * of_block;
  if (cut.splits > 1) {
    const auto partials = static_cast<double>(p.batch * p.out_channels * p.out_length * cut.splits);
    time += cost.second_kernel + cost.split * cut.splits + cost.partial * partials;
  }
  return time * 1e-6;
}

SplitReductionCut split_reduction_cut(const Conv1dProblem& p) {
  const int64_t steps = split_reduction_steps(p);
  SplitReductionCut best;
  double least = -1.0;
  for (const SplitReductionCut& tiles : kTiles) {
    // Staging saves loads of 16-bit values, but never pays for f32, unless the padding needs it.
    if (tiles.inputs == Inputs::kStaged && p.dtype == DType::kF32 &&
        p.padding_mode == PaddingMode::kZeros) {
      continue;
    }
    const int most = split_reduction_most_warps(tiles.inputs, tiles.row_tiles, tiles.column_tiles);
    for (int splits = 1; splits <= kMostSplits; splits *= 2) {
      for (int warps = 4; warps <= most; warps *= 2) {
        SplitReductionCut cut = tiles;
        cut.splits = splits;
        // No warp without a step, but staging wants a thread for each position.
        const int64_t useful = std::max(divide_up(steps, splits),
                                        cut.inputs == Inputs::kStaged
                                            ? divide_up(split_reduction_stage(p, cut).span, kLanes)
                                            : int64_t{1});
        cut.warps = static_cast<int>(std::min<int64_t>(warps, useful));
        if (!split_reduction_allows(p, cut)) continue;
        const double seconds = split_reduction_seconds(p, cut);
        if (least < 0.0 || seconds < least) least = seconds, best = cut;
      }
    }
  }
  return best;
}

Conv1dKernel conv1d_split_reduction() {
  return {"conv1d_split_reduction_sm80", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
