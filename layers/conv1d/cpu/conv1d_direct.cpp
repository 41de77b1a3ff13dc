#include "engine/cpu/thread_pool.h"
#include "layers/activation/activation_math.h"
#include "layers/conv1d/cpu/conv1d_cpu.h"

namespace engine::cpu {
namespace {

bool can_implement(const Conv1dProblem& p) { return !p.transposed; }

// One core, measured: every product looks its input up.
constexpr double kFlopsPerSecond = 1e9;

double seconds(const Conv1dProblem& p) { return p.flops() / kFlopsPerSecond; }

// One output row: y[l] for one sample and output channel; x and weight are the group's, residual is
// the row's or null.
void direct_row(const Conv1dProblem& p, const float* x, const float* weight, float bias,
                const float* residual, float* y) {
  for (int64_t l = 0; l < p.out_length; ++l) {
    float sum = bias;
    for (int64_t c = 0; c < p.group_inputs(); ++c) {
      for (int64_t k = 0; k < p.kernel_size; ++k) {
        const int64_t position = l * p.stride - p.pad_left + k * p.dilation;
        const int64_t source = padded_source(position, p.in_length, p.padding_mode);
        if (source >= 0) sum += weight[c * p.kernel_size + k] * x[c * p.in_length + source];
      }
    }
    y[l] = apply_activation(sum, p.activation);
    if (residual) y[l] = apply_activation(y[l] + residual[l], p.residual_activation);
  }
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const Tensor weight = context.parameter("weight");
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  Step step;
  step.enqueue = [=](const StepContext& c) {
    const auto rows = [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t channel = row % p.out_channels;
        const int64_t first_input =
            row / p.out_channels * p.in_channels + channel / p.group_outputs() * p.group_inputs();
        direct_row(p, c.input<float>() + first_input * p.in_length,
                   weight.data<float>() + channel * p.reduction(),
                   bias.defined() ? bias.data<float>()[channel] : 0.0f,
                   p.residual ? c.input<float>(1) + row * p.out_length : nullptr,
                   c.output<float>() + row * p.out_length);
      }
    };
    c.threads->parallel_for(p.batch * p.out_channels, 1, rows);
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_direct() {
  return {"conv1d_direct_cpu", Device::Type::kCpu, can_implement, seconds, prepare};
}

}  // namespace engine::cpu
