// conv1d_dense_cpu and conv1d_dense_channels_cpu: dense convolutions on the CPU.
//
//   y[b, m, l] = f(bias[m] + sum over c, k of w[m, c, k] x[b, c, l S - left + k D]), x and y in NCL
//
// A product of weights [M, C K] and inputs [C K, l], whose second matrix is never built: tap k
// reads the packed row of channel c at an offset (DenseConvolution, TapTile). Sums stay in
// registers, with AVX2 twelve vectors of them: 4 output channels x 3 vectors of columns
// (DensePanel), or, for signals of few columns, 2 vectors of output channels x 6 columns
// (channel_panel.h). A tile of 128 KB of input is packed for a few hundred steps of the reduction;
// panels of 24 KB of it stay in the first-level cache. Weights are packed once at load; beside the
// tile, nothing is allocated.
//
// Every problem can be computed, transposed ones phase by phase. What limits it: products, two in a
// cycle, behind which loads come close. Measured on one core of an AMD EPYC (Zen 3) with AVX2,
// whose products peak at 102 GFLOP/s: 63.4 ms for x [1, 256, 4096], w [256, 256, 11], dilation 5,
// 93 % of that; and 0.151 ms for x [1, 512, 9], w [512, 512, 3] by vectors of output channels, 92
// %.
#include <fmt/format.h>

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

// Cycles of all steps of `rows` output channels times the columns of a tile, in blocks of up to
// `widest` vectors of columns.
double column_blocks(double rows, int64_t columns, int64_t widest, double steps) {
  const auto block = [&](int64_t vectors) {
    const auto v = static_cast<double>(vectors);
    return steps * step_cycles(rows * v, 1.35 * v + rows + 1.0, 1.0) + 25.0 + 3.0 * rows * v;
  };
  const int64_t vectors = ceil_divide(columns, kCostLanes);
  const auto whole = [&](int64_t blocks) { return static_cast<double>(blocks) * block(widest); };
  const int64_t blocks = vectors / widest;
  const int64_t left = vectors % widest;
  if (left == 0) return whole(blocks);
  if (left > 1 || blocks == 0) return whole(blocks) + block(left);
  const int64_t half = (widest + 1) / 2;  // a single vector is not left to the end
  return whole(blocks - 1) + block(half) + block(widest + 1 - half);
}

// The same with vectors of output channels: blocks of two of them times up to six columns.
double channel_blocks(int64_t rows, int64_t columns, double steps) {
  const int64_t passes = ceil_divide(columns, 6);
  const double c = static_cast<double>(columns) / static_cast<double>(passes);
  const auto block = [&](double v) {
    // The weights of longer reductions pass from the second-level cache.
    const double weights = steps > 256.0 ? 4.0 * v : v;
    return steps * step_cycles(v * c, std::max(weights, v + c + 1.0), 12.0 / (v * c)) + 200.0 +
           8.0 * v * c;
  };
  const int64_t vectors = ceil_divide(rows, kCostLanes);
  return static_cast<double>(passes) *
         (static_cast<double>(vectors / 2) * block(2.0) + (vectors % 2 == 0 ? 0.0 : block(1.0)));
}

// `blocks` gives the cycles of one sample, group and phase.
template <typename Blocks>
double seconds(const TapProblem& p, const Blocks& blocks) {
  const auto phases = static_cast<double>(p.taps.phases());
  const double steps = static_cast<double>(p.group_inputs * p.taps.phase(0).count);
  const int64_t columns = p.taps.outputs(0, p.out_length);
  const double inputs = static_cast<double>(p.group_inputs * p.in_length);
  const double row = static_cast<double>(std::min<int64_t>(p.in_length, 512));
  const double stores = static_cast<double>(p.group_outputs) * interleaving_cycles(p, columns);
  constexpr double kItem = 110.0;  // what the way to the first block takes
  const double one = phases * (blocks(columns, steps) + pack_cycles(inputs, row) + stores + kItem);
  return (static_cast<double>(p.batch * p.groups) * one + memory_cycles(p, false)) /
         kCyclesPerSecond;
}

double seconds_columns(const Conv1dProblem& problem) {
  const TapProblem p = tap_problem(problem);
  return seconds(p, [&](int64_t columns, double steps) {
    const int64_t rest = p.group_outputs % 4;
    const double whole =
        static_cast<double>(p.group_outputs / 4) * column_blocks(4.0, columns, 3, steps);
    if (rest == 0) return whole;
    return whole + column_blocks(static_cast<double>(rest), columns, rest == 3 ? 3 : 6, steps);
  });
}

double seconds_channels(const Conv1dProblem& problem) {
  const TapProblem p = tap_problem(problem);
  return seconds(p, [&](int64_t columns, double steps) {
    return channel_blocks(p.group_outputs, columns, steps);
  });
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context, const DenseLoop& loop) {
  const auto convolution =
      std::make_shared<const DenseConvolution>(tap_problem(p), loop, context.threads);
  const std::string key = fmt::format("weight in chunks of blocks of {} channels, {} phases",
                                      loop.rows, convolution->phases());
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
