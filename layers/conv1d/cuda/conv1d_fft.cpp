#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "engine/error.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/fft_plan.h"

namespace engine::cuda {
namespace {

bool can_implement(const Conv1dProblem& p) { return plan_fft(p).has_value(); }

double seconds(const Conv1dProblem& p) { return plan_fft(p).value().seconds; }

Tensor make_spectra(const Conv1dProblem& p, const FftConvolution& convolution,
                    const Tensor& weight) {
  Tensor spectra = Tensor::empty({convolution.out_channels, convolution.group_inputs,
                                  convolution.parts, convolution.points, 2});
  fft_spectra(p, convolution, weight_reader(p, weight), spectra.data<float>());
  return spectra;
}

Tensor make_roots(int64_t points) {
  const std::vector<float> roots = fft_roots(points);
  Tensor tensor = Tensor::empty({static_cast<int64_t>(roots.size())});
  std::copy(roots.begin(), roots.end(), tensor.data<float>());
  return tensor;
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const std::optional<FftPlan> plan = plan_fft(p, shared_bytes_limit(context.device));
  if (!plan) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("this GPU has too little shared memory for {}", to_string(p)));
  }
  const FftConvolution convolution = plan->convolution;
  const Tensor spectra = context.weight(
      fmt::format("weight as spectra of {} points, {} parts", convolution.points,
                  convolution.parts),
      [&] { return make_spectra(p, convolution, context.layer->parameter("weight")); });
  const Tensor roots =
      context.weight(fmt::format("roots of unity for {} points", convolution.points),
                     [&] { return make_roots(convolution.points); });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  Step step;
  step.enqueue = [=](const StepContext& c) {
    fft_convolution(convolution, p.dtype,
                    {c.inputs[0], static_cast<const float*>(spectra.raw()),
                     static_cast<const float*>(roots.raw()), static_cast<const float*>(bias.raw()),
                     p.residual ? c.inputs[1] : nullptr, c.outputs[0]},
                    p.activation, p.residual_activation, c.stream);
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_fft() {
  return {"conv1d_fft_cuda", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
