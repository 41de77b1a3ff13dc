#include "apps/engine/noise.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

namespace engine::cli {
namespace {

// Box and Muller's transform; not std::normal_distribution, whose numbers differ between standard
// libraries.
Tensor draw_normal(int64_t count, uint64_t seed) {
  std::mt19937_64 generator(seed);
  const auto uniform = [&] { return static_cast<double>(generator() >> 11) * 0x1p-53; };
  Tensor tensor = Tensor::empty({count});
  float* values = tensor.data<float>();
  for (int64_t i = 0; i < count; i += 2) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    const double angle = 2.0 * std::numbers::pi * uniform();
    values[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count) values[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return tensor;
}

}  // namespace

Noise::Noise(uint64_t seed, const Machine& machine)
    : machine_(machine), drawn_(draw_normal(kPeriod, seed)) {}

const Noise::Period& Noise::period(DType dtype) {
  Period& found = periods_[dtype];
  if (!found.values.defined()) {
    const Tensor stored = drawn_.to(dtype);
    found = {stored.to(DType::kF32), stored.to(machine_.device())};
  }
  return found;
}

void Noise::fill(void* target, DType dtype, int64_t elements) {
  const auto element = static_cast<int64_t>(size_of(dtype));
  int64_t filled = std::min(elements, kPeriod);
  machine_.copy(target, period(dtype).stored.raw(), filled * element);
  // What is there is a whole number of periods, so it may be copied behind itself.
  while (filled < elements) {
    const int64_t count = std::min(filled, elements - filled);
    machine_.copy(static_cast<char*>(target) + filled * element, target, count * element);
    filled += count;
  }
  machine_.wait();
}

}  // namespace engine::cli
