// Random draws that are the same on every platform, for tests that print their seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace engine::test {

/// SplitMix64 (https://prng.di.unimi.it/splitmix64.c) with the draws that tests need.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  /// Uniform in [low, high], both ends included.
  int64_t integer(int64_t low, int64_t high);
  /// Uniform in [low, high).
  double uniform(double low, double high);
  /// Normal with mean 0 and deviation 1.
  double normal();
  /// True with that probability.
  bool chance(double probability) { return uniform(0.0, 1.0) < probability; }
  /// One of `choices`.
  template <typename T>
  T pick(const std::vector<T>& choices) {
    return choices[static_cast<size_t>(integer(0, static_cast<int64_t>(choices.size()) - 1))];
  }

 private:
  uint64_t next();
  uint64_t state_;
};

}  // namespace engine::test
