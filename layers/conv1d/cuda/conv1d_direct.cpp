#include <algorithm>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/tap_convolution.h"

namespace engine::cuda {
namespace {

bool can_implement(const Conv1dProblem& p) { return !p.residual; }

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
  const double inputs = static_cast<double>(p.batch) * static_cast<double>(p.in_channels) *
                        static_cast<double>(p.in_length);
  const double bytes = (inputs + outputs) * static_cast<double>(size_of(p.dtype));
  return kLaunch +
         std::max({p.flops() * padded / (share * kFlopsPerSecond), bytes / kBytesPerSecond,
                   static_cast<double>(p.reduction()) * kSecondsPerStep});
}

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  return prepare_tap_convolution(tap_problem(p), p.bias, context,
                                 weight_reader(p, context.layer->parameter("weight")));
}

}  // namespace

Conv1dKernel conv1d_direct() {
  return {"conv1d_direct_cuda", Device::Type::kCuda, can_implement, seconds, prepare};
}

}  // namespace engine::cuda
