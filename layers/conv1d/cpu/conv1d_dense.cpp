// conv1d_dense_cpu and conv1d_dense_channels_cpu: dense convolutions on the CPU.
//
//   y[b, m, l] = f(bias[m] + sum over c, k of w[m, c, k] x[b, c, l S - left + k D]), x and y in NCL
//
// A product of weights [M, C K] and inputs [C K, l], whose second matrix is never built: tap k
// reads the packed row of channel c at an offset (DenseConvolution, TapTile). Sums stay in
// registers, with AVX2 twelve vectors of them: 4 output channels x 3 vectors of columns
// (DensePanel), or, for signals of few columns and for strided ones, 2 vectors of output channels x
// 6 columns (channel_panel.h); with AVX-512 and NEON twice as many. A tile of 128 KB of input is
// packed for a few hundred steps of the reduction; panels of 24 KB of it stay in the first-level
// cache, but with AVX-512 the second level is fast enough: tile and panels are larger. Weights are
// packed once at load; beside the tile, nothing is allocated.
//
// Every problem can be computed, transposed ones by phases, as many at once as read the same
// inputs. What limits it: products, two in a
// cycle, behind which loads come close. Measured on one core of an AMD EPYC (Zen 3) with AVX2,
// whose products peak at 102 GFLOP/s: 63.4 ms for x [1, 256, 4096], w [256, 256, 11], dilation 5,
// 93 % of that; and 0.151 ms for x [1, 512, 9], w [512, 512, 3] by vectors of output channels, 92
// %. The first on one of Zen 4 with AVX-512, 115 GFLOP/s: 52.9 ms, 97 %.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/channel_panel.h"
#include "layers/conv1d/cpu/conv1d_cpu.h"
#include "layers/conv1d/cpu/convolution_step.h"
#include "layers/conv1d/cpu/cpu_cost.h"
#include "layers/conv1d/cpu/dense_convolution.h"

namespace engine::cpu {
namespace {

bool can_implement(const Conv1dProblem&) { return true; }

// Packing what is read of the inputs of one sample and group.
double pack_cycles(const TapProblem& p) {
  return cpu::pack_cycles(static_cast<double>(p.group_inputs) * packed_inputs(p),
                          static_cast<double>(std::min<int64_t>(p.in_length, 512)));
}

// What a block of `columns` that lie a stride apart waits for where its lines of the cache, which
// hold few of its values, are more than the first level has: all of them come from the second.
double far_cycles(const TapProblem& p, double columns) {
  constexpr double kCacheFloats = 6144.0, kLineFloats = 16.0, kLineCycles = 3.75;
  if (p.taps.in_stride() == 1 || !keeps_strides(p)) return 0.0;
  const int64_t taps = (p.taps.phase(0).count - 1) * p.taps.phase(0).shift;
  const double span =
      (columns - 1.0) * static_cast<double>(p.taps.in_stride()) + static_cast<double>(taps);
  const double lines = static_cast<double>(p.group_inputs) * (1.0 + span / kLineFloats);
  return lines * kLineFloats > kCacheFloats ? lines * kLineCycles : 0.0;
}

// All cycles of a step over those of its products, where columns are read one by one.
constexpr double kColumnsStep = 1.25;

// Cycles of all steps of a block of `rows` output channels times the columns of a tile.
double row_block(const DenseLoop& loop, int64_t rows, int64_t columns, double steps) {
  if (rows == 0) return 0.0;
  const double chunks = std::ceil(steps / static_cast<double>(loop.steps));
  const auto block = [&](int64_t vectors) {
    const auto r = static_cast<double>(rows), v = static_cast<double>(vectors);
    const double loads = kUnalignedLoads * v + r + 1.0;
    return steps * (step_cycles(r * v, loads, 1.0, loop.lanes) + kStepCycles) + 25.0 + 3.0 * r * v +
           (chunks - 1.0) * (25.0 + 5.0 * r * v);
  };
  const int64_t widest = widest_block(rows, loop.rows, loop.columns / loop.lanes);
  const int64_t vectors = ceil_divide(columns, loop.lanes);
  const auto whole = [&](int64_t blocks) { return static_cast<double>(blocks) * block(widest); };
  const int64_t blocks = vectors / widest;
  const int64_t left = vectors % widest;
  if (left == 0) return whole(blocks);
  if (left > 1 || blocks == 0) return whole(blocks) + block(left);
  const int64_t half = (widest + 1) / 2;  // a single vector is not left to the end
  return whole(blocks - 1) + block(half) + block(widest + 1 - half);
}

// The same for all output channels with vectors of them: blocks of two times several columns.
double channel_blocks(const TapProblem& p, const DenseLoop& loop, int64_t rows, int64_t columns,
                      double steps) {
  const int64_t lanes = loop.rows / 2, widest = loop.columns / 2;
  const int64_t passes = ceil_divide(columns, widest);
  const double c = static_cast<double>(columns) / static_cast<double>(passes);
  const double broadcasts = lanes > 8 ? 0.5 : 1.0;  // in loads of a vector
  const auto block = [&](double v) {
    // The weights of longer reductions pass from the second-level cache.
    const double weights = steps > 256.0 ? 4.0 * v : v;
    const double chains = 2.0 * static_cast<double>(widest) / (v * c);
    const double loads = std::max(weights, v + broadcasts * c + 1.0);
    return steps * kColumnsStep * step_cycles(v * c, loads, chains, lanes) + far_cycles(p, c) +
           120.0 + 13.0 * v * c;
  };
  const int64_t vectors = ceil_divide(rows, lanes);
  return static_cast<double>(passes) *
         (static_cast<double>(vectors / 2) * block(2.0) + (vectors % 2 == 0 ? 0.0 : block(1.0)));
}

// What few products of an input, with `rows` of weights, leave unhidden of its way from the memory.
double wait_cycles(const TapProblem& p, int64_t rows) {
  constexpr double kHidden = 64.0;  // products of an input that take as long
  const double products = static_cast<double>(rows * p.taps.phase(0).count);
  const double inputs = static_cast<double>(p.group_inputs * p.in_length);
  return 0.5 * inputs * std::max(1.0 - products / kHidden, 0.0);
}

// What inputs take that are read where they are, a few columns of all channels at a time: the
// memory does not foresee that, but for rows of a line or two.
double scattered_cycles(const TapProblem& p) {
  constexpr double kInput = 6.0, kFewFloats = 32.0;
  if (p.in_length > kLongestInPlace) return 0.0;
  const double far = static_cast<double>(p.in_length) - kFewFloats;
  return kInput * static_cast<double>(p.group_inputs) * std::max(far, 0.0);
}

// The weights' way from behind the second-level cache, for every tile of `tile` columns.
double weight_cycles(const TapProblem& p, int64_t tile) {
  constexpr double kCacheBytes = 512e3;
  const double taps = static_cast<double>(p.taps.phase(0).count * p.taps.phases());
  const double bytes = 4.0 * taps * static_cast<double>(p.group_inputs * p.group_outputs);
  if (bytes < kCacheBytes) return 0.0;
  return 0.04 * bytes * static_cast<double>(ceil_divide(p.taps.outputs(0, p.out_length), tile));
}

// `blocks` gives the cycles of the rows of one sample and group that are computed at once, beside
// `pack` for its inputs; `tile` is about how many columns pass over the weights at once.
template <typename Blocks>
double seconds(const TapProblem& p, int64_t tile, double pack, const Blocks& blocks) {
  const double steps = static_cast<double>(p.group_inputs * p.taps.phase(0).count);
  const int64_t columns = p.taps.outputs(0, p.out_length);
  const double stores = static_cast<double>(p.group_outputs) * interleaving_cycles(p, columns);
  constexpr double kItem = 110.0;  // what the way to the first block takes
  double one = weight_cycles(p, tile);
  for (const PhaseRun& run : phase_runs(p)) {
    const int64_t rows = p.group_outputs * run.count;
    const double together = run.count == 1 ? 1.0 : 0.5;  // phases are stored by pieces
    one += blocks(rows, run.columns, steps) + pack + wait_cycles(p, rows) + kItem +
           together * stores * static_cast<double>(run.count);
  }
  return (static_cast<double>(p.batch * p.groups) * one + memory_cycles(p, false)) /
         kCyclesPerSecond;
}

double seconds_columns(const Conv1dProblem& problem) {
  const TapProblem p = tap_problem(problem);
  const DenseLoop loop = dense_loop();
  // Strided rows are taken apart, and panels get their parts of each.
  const double pack = pack_cycles(p) * (p.taps.in_stride() == 1 ? 1.0 : 4.0);
  return seconds(p, 4 * loop.columns, pack, [&](int64_t rows, int64_t columns, double steps) {
    return static_cast<double>(rows / loop.rows) * row_block(loop, loop.rows, columns, steps) +
           row_block(loop, rows % loop.rows, columns, steps);
  });
}

double seconds_channels(const Conv1dProblem& problem) {
  const TapProblem p = tap_problem(problem);
  const DenseLoop loop = channel_loop();
  // Strided rows are copied as they are, or taken apart.
  const double strided = keeps_strides(p) ? 0.5 : 4.0;
  const double pack = pack_cycles(p) * (p.taps.in_stride() == 1 ? 1.0 : strided);
  const double least = scattered_cycles(p);
  return seconds(p, 2 * loop.columns, pack, [&](int64_t rows, int64_t columns, double steps) {
    return std::max(channel_blocks(p, loop, rows, columns, steps), least);
  });
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context, const DenseLoop& loop) {
  const auto convolution =
      std::make_shared<const DenseConvolution>(tap_problem(p), loop, context.threads);
  const std::string key = fmt::format("weight in chunks of blocks of {} rows, phases{}", loop.rows,
                                      convolution->phases());
  return convolution_step(p, context, convolution, key);
}

Step prepare_columns(const Conv1dProblem& p, const PrepareContext& context) {
  return prepare(p, context, dense_loop());
}

Step prepare_channels(const Conv1dProblem& p, const PrepareContext& context) {
  return prepare(p, context, channel_loop());
}

}  // namespace

Conv1dKernel conv1d_dense_channels() {
  return {"conv1d_dense_channels_cpu", Device::Type::kCpu, can_implement, seconds_channels,
          prepare_channels};
}

Conv1dKernel conv1d_dense() {
  return {"conv1d_dense_cpu", Device::Type::kCpu, can_implement, seconds_columns, prepare_columns};
}

}  // namespace engine::cpu
