#include <algorithm>

#include "engine/round_up.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/tap_convolution.h"

namespace engine::cuda {
namespace {

bool can_implement(const Conv1dProblem&) { return true; }

// An H200, as measured: multiply-adds at 33 TFLOP/s when each load feeds many of them, and the
// share that is left when it feeds few; a thread's index arithmetic and stores; and the latency of
// one product after the other where there are too few threads to hide it.
double seconds(const Conv1dProblem& p) {
  constexpr double kFlopsPerSecond = 33e12;
  constexpr double kSecondsPerStep = 0.28e-6;
  constexpr double kLaunch = 4e-6;
  constexpr int64_t kBlockPositions = 128;  // of outputs, at least
  const auto channels = static_cast<double>(tap_convolution_channels(tap_problem(p)));
  const double padded = std::max(1.0, channels / static_cast<double>(p.group_outputs()));
  const double share = channels / (channels + 8.0);
  const double outputs = static_cast<double>(p.batch) * static_cast<double>(p.out_channels) *
                         static_cast<double>(p.out_length);
  const double per_output = channels == 1.0 ? 6e-12 : 3e-12;
  const double idle = static_cast<double>(round_up(p.out_length, kBlockPositions)) /
                      static_cast<double>(p.out_length);
  const double busy = p.flops() * padded / (share * kFlopsPerSecond) + outputs * per_output;
  return kLaunch + std::max(busy * idle, static_cast<double>(p.reduction()) * kSecondsPerStep);
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
