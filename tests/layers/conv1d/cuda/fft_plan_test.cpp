// How a Conv1d is cut for Fourier transforms: code of the host, which needs no GPU.
#include "layers/conv1d/cuda/fft_plan.h"

#include <doctest/doctest.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "layers/conv1d/conv1d_select.h"

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

float weight(int64_t g, int64_t, int64_t, int64_t k) {
  return static_cast<float>((7 * k + 3 * g) % 11) - 5.0f;
}

// Bin `bin` of part `part` of a channel's taps, two positions apart, conjugated and scaled.
std::complex<double> expected_bin(const cuda::FftConvolution& f, int64_t taps, int64_t channel,
                                  int64_t part, int64_t bin) {
  std::complex<double> sum;
  for (int64_t k = 0; k < taps; ++k) {
    const int64_t at = 2 * k - part * f.part_taps;
    if (at < 0 || at >= f.part_taps) continue;
    const double turns = static_cast<double>(bin * at % f.points) / static_cast<double>(f.points);
    sum += std::polar<double>(weight(channel, 0, 0, k), 2.0 * std::numbers::pi * turns);
  }
  return sum / static_cast<double>(f.points);
}

void check_spectra(int64_t points, int64_t parts) {
  Conv1dProblem p = depthwise(3, 5000, 700, 0);
  p.dilation = 2;
  p.out_length = 5000 - 2 * 699;
  const cuda::FftConvolution f = cuda::cut_fft(p, points, parts).value().convolution;
  std::vector<float> spectra(static_cast<size_t>(2 * 3 * parts * points));
  cuda::fft_spectra(p, f, weight, spectra.data());
  for (const int64_t bin : {int64_t{0}, int64_t{1}, int64_t{77}, points / 2, points - 1}) {
    for (int64_t filter = 0; filter < 3 * parts; ++filter) {
      CAPTURE(bin);
      CAPTURE(filter);
      const std::complex<double> expected =
          expected_bin(f, p.kernel_size, filter / parts, filter % parts, bin);
      const float* found =
          &spectra[static_cast<size_t>(2 * (filter * points + cuda::fft_bin_place(bin, points)))];
      CHECK(std::abs(expected - std::complex<double>(found[0], found[1])) <= 1e-7);
    }
  }
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
  for (const auto& [points, parts] : {std::pair<int64_t, int64_t>{4096, 2}, {6144, 1}}) {
    CAPTURE(points);
    check_spectra(points, parts);
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
  CHECK(cut.points == 8192);
}

TEST_CASE("cuts of convolutions for a GPU with less shared memory") {
  constexpr int64_t kShared = 99 * 1024;
  const auto cut = cuda::plan_fft(depthwise(8, 1 << 20, 20001, 0), kShared)->convolution;
  CHECK(cut.points == 4096);
  CHECK(cuda::fft_shared_bytes(cut) <= kShared);
}

TEST_CASE("the GPU computes long kernels through Fourier transforms and short ones directly") {
  const auto chosen = [](const Conv1dProblem& p) {
    return std::string(select_conv1d(p, Device::Type::kCuda).kernel->name);
  };
  CHECK(chosen(depthwise(768, 4096, 4095, 2047)) == "conv1d_fft_cuda");
  CHECK(chosen(depthwise(768, 4096, 3, 1)) != "conv1d_fft_cuda");
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
