#include <fmt/format.h>

#include <memory>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/conv1d_cpu.h"
#include "layers/conv1d/cpu/dense_convolution.h"

namespace engine::cpu {
namespace {

bool can_implement(const Conv1dProblem&) { return true; }

// One core with AVX2 at 3.2 GHz, measured on long reductions, of a peak of 104 GFLOP/s.
constexpr double kFlopsPerSecond = 88e9;
constexpr double kBytesPerSecond = 10e9;

// Output channels that take as long as those of a group do in whole blocks of four: what is left
// over for a last block waits for its loads.
double padded_outputs(int64_t outputs) {
  constexpr double kLastBlock[] = {0.0, 2.4, 4.2, 4.2};
  return static_cast<double>(outputs / 4 * 4) + kLastBlock[outputs % 4];
}

double seconds(const Conv1dProblem& p) {
  const double elements = static_cast<double>(p.batch) *
                          (static_cast<double>(p.in_channels) * static_cast<double>(p.in_length) +
                           static_cast<double>(p.out_channels) * static_cast<double>(p.out_length));
  const double padding = padded_outputs(p.group_outputs()) / static_cast<double>(p.group_outputs());
  return p.flops() * padding / kFlopsPerSecond + 4.0 * elements / kBytesPerSecond;
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const auto convolution =
      std::make_shared<const DenseConvolution>(tap_problem(p), context.threads);
  const std::string key =
      fmt::format("weight in chunks for panels, {} phases", convolution->phases());
  const Tensor weight = context.weight(key, [&] {
    return convolution->pack_weights(weight_reader(p, context.layer->parameter("weight")));
  });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  Step step;
  step.enqueue = [=](const StepContext& c) {
    convolution->run(c.input<float>(), weight.data<float>(),
                     bias.defined() ? bias.data<float>() : nullptr,
                     p.residual ? c.input<float>(1) : nullptr, c.output<float>(), *c.threads);
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_dense() {
  return {"conv1d_dense_cpu", Device::Type::kCpu, can_implement, seconds, prepare};
}

}  // namespace engine::cpu
