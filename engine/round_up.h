// Integers rounded up or down: quotients, and to multiples.
#pragma once

#include <cstdint>

namespace engine {

/// The least integer >= a / b, for b > 0.
constexpr int64_t ceil_divide(int64_t a, int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }

/// The greatest integer <= a / b, for b > 0.
constexpr int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

/// The least multiple of `multiple` that is >= a, for multiple > 0.
constexpr int64_t round_up(int64_t a, int64_t multiple) {
  return ceil_divide(a, multiple) * multiple;
}

}  // namespace engine
