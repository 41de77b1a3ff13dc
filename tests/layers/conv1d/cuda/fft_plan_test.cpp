// How a Conv1d is cut for Fourier transforms: code of the host, which needs no GPU.
#include "layers/conv1d/cuda/fft_plan.h"

#include <doctest/doctest.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

namespace engine::test {
namespace {

Conv1dProblem depthwise(int64_t channels, int64_t length, int64_t kernel_size, int64_t padding) {
  Conv1dProblem p;
  p.batch = 4;
  p.in_channels = p.out_channels = p.groups = channels;
  p.in_length = length;
  p.kernel_size = kernel_size;
  p.pad_left = p.pad_right = padding;
  p.out_length = length + 2 * padding - kernel_size + 1;
  return p;
}

}  // namespace

TEST_CASE("the places of a spectrum's bins are a permutation") {
  for (const int64_t points : {1024, 2048, 4096, 6144, 8192}) {
    std::vector<int> seen(static_cast<size_t>(points), 0);
    for (int64_t bin = 0; bin < points; ++bin) {
      ++seen.at(static_cast<size_t>(cuda::fft_bin_place(bin, points)));
    }
    CHECK(seen == std::vector<int>(static_cast<size_t>(points), 1));
  }
}

TEST_CASE("spectra are those of the formula") {
  Conv1dProblem p = depthwise(3, 5000, 700, 0);
  p.dilation = 2;
  p.out_length = 5000 - 2 * 699;
  const auto weight = [](int64_t g, int64_t, int64_t, int64_t k) {
    return static_cast<float>((7 * k + 3 * g) % 11) - 5.0f;
  };
  const cuda::FftConvolution f = cuda::plan_fft(p, 4096, 2).value().convolution;
  std::vector<float> spectra(static_cast<size_t>(2 * 3 * 2 * f.points));
  cuda::fft_spectra(p, f, weight, spectra.data());
  for (const int64_t bin : {int64_t{0}, int64_t{1}, int64_t{77}, f.points / 2, f.points - 1}) {
    for (int64_t channel = 0; channel < 3; ++channel) {
      for (int64_t part = 0; part < 2; ++part) {
        std::complex<double> sum;
        for (int64_t k = 0; k < p.kernel_size; ++k) {
          const int64_t at = 2 * k - part * f.part_taps;
          if (at < 0 || at >= f.part_taps) continue;
          const double turns =
              static_cast<double>(bin * at % f.points) / static_cast<double>(f.points);
          sum += std::polar(1.0, 2.0 * std::numbers::pi * turns) *
                 static_cast<double>(weight(channel, 0, 0, k));
        }
        sum /= static_cast<double>(f.points);
        const int64_t place = (channel * 2 + part) * f.points + cuda::fft_bin_place(bin, f.points);
        CHECK(spectra[static_cast<size_t>(2 * place)] == doctest::Approx(sum.real()).epsilon(1e-5));
        CHECK(spectra[static_cast<size_t>(2 * place + 1)] ==
              doctest::Approx(sum.imag()).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("cuts of convolutions for Fourier transforms") {
  const cuda::FftConvolution whole = cuda::plan_fft(depthwise(768, 4096, 4095, 2047))->convolution;
  CHECK(whole.points == 6144);  // what wraps around is padding on both sides
  CHECK(whole.segments == 1);
  const cuda::FftConvolution cut = cuda::plan_fft(depthwise(8, 1 << 20, 20001, 0))->convolution;
  CHECK(cut.parts * cut.part_taps >= 20001);
  CHECK(cut.segment_outputs + cut.part_taps <= cut.points + 1);
  CHECK(cut.segments * cut.segment_outputs >= (1 << 20) - 20000);
}

TEST_CASE("convolutions that Fourier transforms do not compute") {
  CHECK_FALSE(cuda::plan_fft(depthwise(8, 4096, 32, 0)));
  Conv1dProblem dense = depthwise(2048, 4096, 4095, 2047);
  dense.groups = 1;
  CHECK_FALSE(cuda::plan_fft(dense));  // 128 GiB of spectra
  Conv1dProblem transposed = depthwise(8, 4096, 256, 0);
  transposed.transposed = true;
  transposed.stride = 2;
  CHECK_FALSE(cuda::plan_fft(transposed));
}

}  // namespace engine::test
