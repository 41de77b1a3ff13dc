#include <algorithm>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/tap_convolution.h"

namespace engine::cuda {
namespace {

bool can_implement(const Conv1dProblem&) { return true; }

// An H200: 60 TFLOP/s of fp32 multiply-adds when each load feeds eight of them; the share that is
// left when it feeds fewer follows from the ratio of loads to multiply-adds. One thread in flight
// finishes a dependent product in about 10 ns, load included.
double seconds(const Conv1dProblem& p) {
  constexpr double kFlopsPerSecond = 60e12;
  constexpr double kBytesPerSecond = 4.2e12;
  constexpr double kSecondsPerStep = 10e-9;
  constexpr double kLaunch = 4e-6;
  const auto channels = static_cast<double>(tap_convolution_channels(tap_problem(p)));
  const double padded = std::max(1.0, channels / static_cast<double>(p.group_outputs()));
  const double share = channels / (channels + 8.0);
  const double outputs = static_cast<double>(p.batch) * static_cast<double>(p.out_channels) *
                         static_cast<double>(p.out_length);
  const double steps = p.flops() / 2.0 / outputs;  // of the sum that one output is
  const double inputs = static_cast<double>(p.batch) * static_cast<double>(p.in_channels) *
                        static_cast<double>(p.in_length);
  const double residuals = p.residual ? outputs : 0.0;
  const double bytes = (inputs + outputs + residuals) * static_cast<double>(size_of(p.dtype));
  return kLaunch + std::max({p.flops() * padded / (share * kFlopsPerSecond),
                             bytes / kBytesPerSecond, steps * kSecondsPerStep});
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const TapProblem problem = tap_problem(p);
  const Tensor weights = context.weight("weight in blocks of channels", [&] {
    return pack_tap_weights(problem, weight_reader(p, context.layer->parameter("weight")));
  });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  Step step;
  step.enqueue = [=](const StepContext& c) {
    tap_convolution(problem, p.dtype, c.inputs[0], static_cast<const float*>(weights.raw()),
                    static_cast<const float*>(bias.raw()), p.residual ? c.inputs[1] : nullptr,
                    c.outputs[0], c.stream);
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_direct() {
  return {"conv1d_direct_cuda", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
