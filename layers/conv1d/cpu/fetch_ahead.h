// What a thread will read next, fetched a few lines at a time while it computes.
#pragma once

#include <cstdint>

#include "engine/round_up.h"

namespace engine::cpu {

/// Rows of memory on their way to the second-level cache.
class FetchAhead {
 public:
  /// Nothing.
  FetchAhead() = default;
  /// `rows` rows of `floats` values, `stride` floats apart, fetched in `portions`.
  FetchAhead(const float* first, int64_t rows, int64_t floats, int64_t stride, int64_t portions)
      : row_(first),
        rows_(floats > 0 ? rows : 0),
        floats_(floats),
        stride_(stride),
        lines_(ceil_divide(rows * ceil_divide(floats, kLineFloats), portions)) {}

  void fetch_portion() {
    for (int64_t i = 0; i < lines_ && rows_ > 0; ++i) {
      constexpr int kToRead = 0, kSecondLevel = 2;
      __builtin_prefetch(row_ + position_, kToRead, kSecondLevel);
      position_ += kLineFloats;
      if (position_ < floats_) continue;
      position_ = 0;
      row_ += stride_;
      --rows_;
    }
  }

 private:
  static constexpr int64_t kLineFloats = 16;

  const float* row_ = nullptr;
  int64_t rows_ = 0;  // left
  int64_t floats_ = 0;
  int64_t stride_ = 0;
  int64_t lines_ = 0;  // of a portion
  int64_t position_ = 0;
};

}  // namespace engine::cpu
