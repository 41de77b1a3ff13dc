// Products of signals by their spectra, for every number of points that the passes treat
// differently.
#include "layers/conv1d/cpu/ring_transform.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/random.h"

namespace engine::test {
namespace {

using cpu::RingTransform;

std::vector<float> noise(int64_t count, Random& random) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(random.uniform(-1.0, 1.0));
  return values;
}

std::vector<float> spectrum_of(const RingTransform& transform, const std::vector<float>& values) {
  std::vector<float> signal(static_cast<size_t>(transform.signal_floats()));
  const auto half = values.begin() + transform.numbers();
  std::copy(values.begin(), half, signal.begin());
  std::copy(half, values.end(), signal.begin() + transform.plane());
  std::vector<float> spectrum(values.size());
  transform.forward(signal.data(), spectrum.data(), 2 * RingTransform::lanes());
  return spectrum;
}

std::vector<float> product_by_spectra(const RingTransform& transform, const std::vector<float>& a,
                                      const std::vector<float>& b) {
  std::vector<float> values(a.size());
  transform.multiply(spectrum_of(transform, a).data(), spectrum_of(transform, b).data(), 1, 1,
                     values.data());
  std::vector<float> signal(static_cast<size_t>(transform.signal_floats()));
  transform.inverse(values.data(), signal.data());
  std::copy_n(signal.begin(), transform.numbers(), values.begin());
  std::copy_n(signal.begin() + transform.plane(), transform.numbers(),
              values.begin() + transform.numbers());
  return values;
}

// Modulo x^N + 1.
std::vector<double> product(const std::vector<float>& a, const std::vector<float>& b) {
  const size_t points = a.size();
  std::vector<double> sums(points);
  for (size_t i = 0; i < points; ++i) {
    for (size_t j = 0; j < points; ++j) {
      const double term = double{a[i]} * double{b[j]};
      sums[(i + j) % points] += i + j < points ? term : -term;
    }
  }
  return sums;
}

TEST_CASE("spectra multiply as polynomials do, with any number of points") {
  constexpr double kMostError = 1e-6;  // relative, in the root of the mean square
  Random random(7);
  for (int64_t points = RingTransform::kLeastPoints; points <= 8192; points *= 2) {
    INFO("points ", points);
    const RingTransform transform(points);
    const std::vector<float> a = noise(points, random), b = noise(points, random);
    const std::vector<float> found = product_by_spectra(transform, a, b);
    const std::vector<double> expected = product(a, b);
    double error = 0.0, size = 0.0;
    for (size_t i = 0; i < found.size(); ++i) {
      const double sum = static_cast<double>(transform.numbers()) * expected[i];
      error += std::pow(double{found[i]} - sum, 2);
      size += sum * sum;
    }
    CHECK(std::sqrt(error / size) < kMostError);
  }
}

}  // namespace
}  // namespace engine::test
