// conv1d_matrix_cpu: convolutions with one output for each sample and channel, on the CPU.
//
//   y[b, m] = f(bias[m] + sum over c, i of v[m, c, i] x[b, c, i])
//
// Samples are the rows of a matrix, so that a batch of them fills registers as positions of a
// signal otherwise do: what Linear computes (linear_cpu). v holds the weight of the tap that reads
// input i, or the sum of several that padding sends there; taps that read zeros are left out.
// Weights are packed once at load.
//
// Requires one group, no residual, and inputs of one position, or as long as a kernel without
// padding: more lengths would each have weights of their own. What limits it: the weights' way from
// a cache for few samples, products for many. Measured on one core of an AMD EPYC (Zen 4) with
// AVX-512, whose products peak at 116 GFLOP/s: 0.089 ms for x [64, 256, 1], w [256, 256, 3],
// padding 1, of which a third is computed, 94 GFLOP/s.
#include <fmt/format.h>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/conv1d_cpu.h"
#include "layers/conv1d/cpu/cpu_cost.h"
#include "layers/linear/linear_cpu.h"
#include "layers/linear/linear_panel.h"

namespace engine::cpu {
namespace {

bool can_implement(const Conv1dProblem& p) {
  if (p.out_length != 1 || p.groups != 1 || p.residual) return false;
  const bool whole_kernel = p.pad_left == 0 && p.pad_right == 0 && !p.transposed;
  return p.in_length == 1 || (whole_kernel && p.dilation == 1 && p.in_length == p.kernel_size);
}

LinearProblem linear_problem(const Conv1dProblem& p) {
  return {p.batch, p.in_channels * p.in_length, p.out_channels, p.activation};
}

double seconds(const Conv1dProblem& problem) {
  const LinearProblem p = linear_problem(problem);
  const int64_t lanes = linear_loop().outputs / 2;
  constexpr int64_t kRows = 6;
  const int64_t passes = ceil_divide(p.rows, kRows);
  const double rows = static_cast<double>(p.rows) / static_cast<double>(passes);
  // Two vectors of outputs at once, whose weights come from the second-level cache.
  const double step = step_cycles(2.0 * rows, std::max(8.0, rows + 2.0), 6.0 / rows, lanes);
  const double block = static_cast<double>(p.inputs) * step + 60.0;
  const double blocks = static_cast<double>(passes * ceil_divide(p.outputs, 2 * lanes));
  return (blocks * block + memory_cycles(tap_problem(problem), false)) / kCyclesPerSecond;
}

// v[m, c, i], [M, C L].
Tensor matrix(const Conv1dProblem& p, const Tensor& layer_weight) {
  const auto weight = weight_reader(p, layer_weight);
  const PhaseTaps taps = tap_problem(p).taps.phase(0);
  Tensor v = Tensor::zeros({p.out_channels, p.in_channels * p.in_length});
  float* row = v.data<float>();
  for (int64_t m = 0; m < p.out_channels; ++m) {
    for (int64_t c = 0; c < p.in_channels; ++c, row += p.in_length) {
      for (int64_t t = 0; t < taps.count; ++t) {
        const int64_t i = padded_source(taps.offset + t * taps.shift, p.in_length, p.padding_mode);
        if (i >= 0) row[i] += weight(0, m, c, taps.first + t * taps.step);
      }
    }
  }
  return v;
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const Tensor weight = context.weight(
      fmt::format("weight as a matrix for {} inputs", p.in_length),
      [&] { return pack_linear_weight(matrix(p, context.layer->parameter("weight"))); });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  Step step;
  step.enqueue = [linear = linear_problem(p), weight, bias](const StepContext& c) {
    linear_cpu(linear, c.input<float>(), weight.data<float>(),
               bias.defined() ? bias.data<float>() : nullptr, c.output<float>(), *c.threads);
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_matrix() {
  return {"conv1d_matrix_cpu", Device::Type::kCpu, can_implement, seconds, prepare};
}

}  // namespace engine::cpu
