// Windowed-sinc interpolation (J. O. Smith, "Digital Audio Resampling"): output i is the input,
// low-passed, at the time i * rate_in / rate_out. That ratio in lowest terms is M / L, so the
// time's fraction, and with it the filter, repeats every L outputs: L phases of one filter.
#include "apps/engine/resample.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace engine::cli {
namespace {

// A Kaiser window of this shape keeps its stop band below -90 dB, and its transition, over this
// many zero crossings of the sinc on each side, to 0.09 of the band.
constexpr double kKaiserBeta = 9.0;
constexpr double kZeroCrossings = 64.0;
// The pass band's edge, a transition's half width below the lower of the two Nyquist frequencies.
constexpr double kCutoff = 0.955;

// The modified Bessel function I0 by its power series.
double bessel_i0(double x) {
  double sum = 1.0;
  double term = 1.0;
  for (int k = 1; term > 1e-18 * sum; ++k) {
    term *= (x / 2 / k) * (x / 2 / k);
    sum += term;
  }
  return sum;
}

double kaiser(double position) {
  if (std::abs(position) >= 1.0) return 0.0;
  return bessel_i0(kKaiserBeta * std::sqrt(1.0 - position * position)) / bessel_i0(kKaiserBeta);
}

double sinc(double x) {
  return x == 0.0 ? 1.0 : std::sin(std::numbers::pi * x) / (std::numbers::pi * x);
}

// The filter for outputs that fall `fraction` of an input sample behind an input; taps[t] belongs
// to input `base - half + 1 + t`. Scaled to a gain of exactly 1 at 0 Hz.
Eigen::VectorXf phase_taps(double fraction, double cutoff, int64_t half) {
  Eigen::VectorXd taps(2 * half);
  for (int64_t t = 0; t < 2 * half; ++t) {
    const double distance = static_cast<double>(t - half + 1) - fraction;
    taps[t] = sinc(cutoff * distance) * kaiser(distance / static_cast<double>(half));
  }
  return (taps / taps.sum()).cast<float>();
}

// The sum over the taps, the first of which meets samples[first]; there is nothing beyond the ends.
float filter_at(const std::vector<float>& samples, const Eigen::VectorXf& taps, int64_t first) {
  const int64_t begin = std::max<int64_t>(0, -first);
  const int64_t end = std::min(taps.size(), static_cast<int64_t>(samples.size()) - first);
  if (begin >= end) return 0.0f;
  const Eigen::Map<const Eigen::VectorXf> under(samples.data() + first + begin, end - begin);
  return taps.segment(begin, end - begin).dot(under);
}

}  // namespace

std::vector<float> resample(const std::vector<float>& samples, int64_t rate_in, int64_t rate_out) {
  const int64_t divisor = std::gcd(rate_in, rate_out);
  const int64_t steps = rate_in / divisor;    // M
  const int64_t phases = rate_out / divisor;  // L
  if (steps == phases) return samples;
  const auto size = static_cast<int64_t>(samples.size());
  // ceil(size * L / M) without overflow.
  const int64_t count = size / steps * phases + (size % steps * phases + steps - 1) / steps;
  const double cutoff = kCutoff * std::min(1.0, static_cast<double>(phases) / steps);
  const auto half = static_cast<int64_t>(std::ceil(kZeroCrossings / cutoff));

  std::vector<float> resampled(count);
  for (int64_t phase = 0; phase < std::min(phases, count); ++phase) {
    // Output `phase + k * L` stands at input `phase * M / L + k * M`.
    const int64_t base = phase * steps / phases;
    const double fraction = static_cast<double>(phase * steps % phases) / phases;
    const Eigen::VectorXf taps = phase_taps(fraction, cutoff, half);
    int64_t first = base - half + 1;
    for (int64_t i = phase; i < count; i += phases, first += steps) {
      resampled[i] = filter_at(samples, taps, first);
    }
  }
  return resampled;
}

}  // namespace engine::cli
