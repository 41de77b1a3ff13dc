// conv1d_rows_cpu: convolutions that sum few products for each output, on the CPU.
//
//   y[b, m, l] = f(bias[m] + sum over c, k of w[m, c, k] x[b, c, l S - left + k D]), x and y in NCL
//
// Depthwise convolutions above all; also one or two output channels, and one input channel with few
// taps. One output channel at a time, up to twelve vectors of columns in registers, inputs read in
// place (RowConvolution, RowPanel; PaddedRows for short rows). Compulsory bytes only: inputs once,
// outputs once, past the caches where they are 16 MB or more. Of more than eight channels four are
// read at once, whose sums wait in y in the first-level cache.
//
// The inputs of 16 columns must fit a tile of 128 KB. What limits it: memory, or for many taps the
// loads, one for each product. Measured on one core of an AMD EPYC (Zen 3) that copies 30 GB/s past
// its caches: 2.37 ms for x [1, 512, 16000], 3 taps, dilation 8, depthwise, 27.6 GB/s or 92 % of
// a copy.
#include <fmt/format.h>

#include <memory>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/conv1d_cpu.h"
#include "layers/conv1d/cpu/convolution_step.h"
#include "layers/conv1d/cpu/cpu_cost.h"
#include "layers/conv1d/cpu/row_convolution.h"

namespace engine::cpu {
namespace {

bool can_implement(const Conv1dProblem& p) { return RowConvolution::can_implement(tap_problem(p)); }

// Cycles of one row of y: blocks of twelve vectors, then of fewer, then a part of one.
double row_cycles(int64_t columns, double steps) {
  const int64_t lanes = row_loop().lanes;
  double cycles = 60.0;
  for (const int64_t vectors : {12, 6, 3, 1}) {
    const auto v = static_cast<double>(vectors);
    const double step = step_cycles(v, kUnalignedLoads * v + 2.0, 1.0, lanes) + kStepCycles;
    cycles += static_cast<double>(columns / (vectors * lanes)) * (steps * step + 10.0 + 2.0 * v);
    columns %= vectors * lanes;
  }
  return columns == 0 ? cycles : cycles + 4.1 * steps + 40.0;
}

double seconds(const Conv1dProblem& problem) {
  const TapProblem p = tap_problem(problem);
  const int64_t columns = p.taps.outputs(0, p.out_length);
  const double steps = static_cast<double>(p.group_inputs * p.taps.phase(0).count);
  const double inputs = static_cast<double>(p.group_inputs) * packed_inputs(p);
  // More channels cost what packing them would: the memory does not foresee their rows.
  const bool in_place =
      p.taps.in_stride() == 1 && columns > 512 && p.group_inputs <= RowConvolution::kMostTogether;
  const double packed = p.taps.in_stride() == 1 ? inputs : 3.0 * inputs;
  const double pack = in_place ? 0.0 : pack_cycles(packed, static_cast<double>(p.in_length));
  const auto parts = static_cast<double>(p.batch * p.groups * p.taps.phases());
  const double row = row_cycles(columns, steps) + interleaving_cycles(p, columns);
  const double cycles = parts * (static_cast<double>(p.group_outputs) * row + pack);
  return (cycles + memory_cycles(p, in_place)) / kCyclesPerSecond;
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const auto convolution = std::make_shared<const RowConvolution>(tap_problem(p), context.threads);
  const std::string key = fmt::format("weight in rows, {} phases", convolution->phases());
  return convolution_step(p, context, convolution, key);
}

}  // namespace

Conv1dKernel conv1d_rows() {
  return {"conv1d_rows_cpu", Device::Type::kCpu, can_implement, seconds, prepare};
}

}  // namespace engine::cpu
