// conv1d_fft_cpu: long kernels on the CPU, by Fourier transforms.
//
//   y[b, m, l] = f(bias[m] + sum over c, k of w[m, c, k] x[b, c, l S - left + k D]), x and y in NCL
//
// A strided row counts as up to S of them: one for each remainder of its taps' positions by S. A
// segment of N inputs of such a strand of T taps gives N - (T - 1) D outputs, overlap-save: one
// transform for each strand, products of all strands' spectra and one transform back for each
// output channel (FftConvolution). The transforms are real ones, vectors along the length, without
// an order that anyone sees (RingTransform); N is the power of two that costs least. Weights are
// transformed once at load, which takes N floats for each strand and output channel: what is beyond
// 256 MiB is left to other kernels, and so are transposed problems with a stride, less than 48
// taps, sums of less than 120 products and dilations above 4. Compulsory bytes, and up to three
// segments' spectra of the strands in the workspace of each thread: up to 4 MB, where a single one
// does not take more.
//
// What limits it: loads and stores of the transforms' passes, and for many channels the products of
// spectra. Measured on one core of an AMD EPYC (Zen 3) with AVX2, whose products peak at 100
// GFLOP/s: 108 ms for x [8, 768, 4096], 4095 taps, depthwise, of which the 3.2 GFLOP of transforms
// and products make 30 GFLOP/s, or 30 %; direct sums would do 211 GFLOP, 19 times what the core has
// time for. On one of Zen 4 with AVX-512, 117 GFLOP/s: 0.21 ms for x [1, 1, 16000], w [64, 1, 128],
// stride 4, whose direct sums take 0.56 ms at least.
#include <fmt/format.h>

#include <memory>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/conv1d_cpu.h"
#include "layers/conv1d/cpu/fft_convolution.h"

namespace engine::cpu {
namespace {

constexpr int64_t kLeastTaps = 48;
constexpr int64_t kLeastReduction = 120;  // shorter plain sums are more accurate
constexpr int64_t kMostDilation = 4;

bool can_implement(const Conv1dProblem& p) {
  return p.kernel_size >= kLeastTaps && p.reduction() >= kLeastReduction &&
         p.dilation <= kMostDilation && cut_fft(tap_problem(p)).has_value();
}

double seconds(const Conv1dProblem& p) { return cut_fft(tap_problem(p)).value().seconds; }

Step prepare(const Conv1dProblem& p, const PrepareContext& context) {
  const TapProblem problem = tap_problem(p);
  const auto convolution =
      std::make_shared<const FftConvolution>(problem, cut_fft(problem).value(), context.threads);
  const Tensor weight = context.weight(
      fmt::format("weight as spectra of {} points, vectors of {}", convolution->points(),
                  FftConvolution::lanes()),
      [&] {
        return convolution->pack_weights(weight_reader(p, context.layer->parameter("weight")));
      });
  const Tensor bias = p.bias ? context.parameter("bias") : Tensor();
  Step step;
  step.workspace_bytes = convolution->workspace_bytes();
  step.enqueue = [=](const StepContext& c) {
    convolution->run(
        {c.input<float>(), weight.data<float>(), bias.defined() ? bias.data<float>() : nullptr,
         p.residual ? c.input<float>(1) : nullptr, c.output<float>()},
        static_cast<float*>(c.workspace), *c.threads);
  };
  return step;
}

}  // namespace

Conv1dKernel conv1d_fft() {
  return {"conv1d_fft_cpu", Device::Type::kCpu, can_implement, seconds, prepare};
}

}  // namespace engine::cpu
