#include "apps/engine/resample.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace {

using engine::cli::resample;

std::vector<float> sine(double frequency, int64_t rate, int64_t count) {
  std::vector<float> samples(static_cast<size_t>(count));
  for (size_t i = 0; i < samples.size(); ++i) {
    const double time = static_cast<double>(i) / static_cast<double>(rate);
    samples[i] = static_cast<float>(std::sin(2.0 * std::numbers::pi * frequency * time));
  }
  return samples;
}

// The root mean square of a - b over the middle half, away from the ends of the signal.
double rms_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (size_t i = a.size() / 4; i < a.size() * 3 / 4; ++i) sum += std::pow(double{a[i]} - b[i], 2);
  return std::sqrt(sum / (static_cast<double>(a.size()) / 2));
}

constexpr int64_t kRates[][2] = {{44100, 16000}, {16000, 44100}, {8000, 16000}, {48000, 8000},
                                 {22050, 16000}, {16000, 15999}, {96000, 360}};

}  // namespace

TEST_CASE("resample: a sine stays the same sine") {
  for (const auto& [in, out] : kRates) {
    const double nyquist = static_cast<double>(std::min(in, out)) / 2;
    for (const double part : {0.01, 0.3, 0.9}) {
      CAPTURE(in);
      CAPTURE(out);
      CAPTURE(part);
      const std::vector<float> found = resample(sine(part * nyquist, in, 2 * in), in, out);
      const std::vector<float> wanted = sine(part * nyquist, out, 2 * out);
      REQUIRE(found.size() == wanted.size());
      CHECK(rms_difference(found, wanted) < 3e-5);  // -90 dB
    }
  }
}

TEST_CASE("resample: what the lower rate cannot hold is suppressed, not folded back") {
  for (const auto& [in, out] : kRates) {
    if (out > in) continue;
    for (const double times_nyquist : {1.01, 1.3}) {
      const double frequency = times_nyquist * static_cast<double>(out) / 2;
      if (frequency >= static_cast<double>(in) / 2) continue;
      CAPTURE(in);
      CAPTURE(out);
      CAPTURE(frequency);
      const std::vector<float> found = resample(sine(frequency, in, 2 * in), in, out);
      CHECK(rms_difference(found, std::vector<float>(found.size())) < 3e-5);
    }
  }
}

TEST_CASE("resample: a constant stays that constant") {
  const std::vector<float> found = resample(std::vector<float>(4000, 0.75f), 44100, 16000);
  for (size_t i = found.size() / 4; i < found.size() * 3 / 4; ++i) {
    CHECK(found[i] == doctest::Approx(0.75).epsilon(1e-6));
  }
}

TEST_CASE("resample: the length is ceil(n * out / in)") {
  for (const auto& [in, out] : kRates) {
    for (const int64_t count : {0, 1, 2, 7, 1000}) {
      const auto found = resample(std::vector<float>(static_cast<size_t>(count)), in, out);
      CAPTURE(in);
      CAPTURE(out);
      CHECK(static_cast<int64_t>(found.size()) == (count * out + in - 1) / in);
    }
  }
}

TEST_CASE("resample: equal rates change nothing") {
  const std::vector<float> samples = sine(440, 16000, 100);
  CHECK(resample(samples, 16000, 16000) == samples);
}
