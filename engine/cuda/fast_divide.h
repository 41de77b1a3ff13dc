// Division of 64-bit indices by a divisor that is fixed for a launch.
#pragma once

#include <cstdint>

#include "engine/cuda/host_device.h"

namespace engine::cuda {

/// Divides by multiplying, which a GPU does some ten times faster than a 64-bit division.
/// Granlund and Montgomery, "Division by invariant integers using multiplication", 1994: with
/// l = ceil(log2(divisor)) and m = floor(2^(63 + l) / divisor) + 1, n / divisor is
/// (n * m) >> (63 + l) for every 0 <= n < 2^63.
class FastDivide {
 public:
  /// `divisor` must be at least 1.
  explicit FastDivide(int64_t divisor) : divisor_(divisor) {
    int log2 = 0;
    while (log2 < 63 && (int64_t{1} << log2) < divisor) ++log2;
    multiplier_ =
        static_cast<uint64_t>((static_cast<unsigned __int128>(1) << (63 + log2)) / divisor) + 1;
    shift_ = log2 - 1;
  }

  /// n / divisor for n >= 0.
  ENGINE_HOST_DEVICE int64_t quotient(int64_t n) const {
    if (divisor_ == 1) return n;
    return static_cast<int64_t>(high_product(static_cast<uint64_t>(n), multiplier_) >> shift_);
  }
  /// n % divisor for n >= 0.
  ENGINE_HOST_DEVICE int64_t remainder(int64_t n) const { return n - quotient(n) * divisor_; }
  ENGINE_HOST_DEVICE int64_t divisor() const { return divisor_; }

 private:
  static ENGINE_HOST_DEVICE uint64_t high_product(uint64_t a, uint64_t b) {
#ifdef __CUDA_ARCH__
    return __umul64hi(a, b);
#else
    return static_cast<uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64);
#endif
  }

  int64_t divisor_;
  uint64_t multiplier_;
  int shift_;
};

}  // namespace engine::cuda
