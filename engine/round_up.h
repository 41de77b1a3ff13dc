// Integers rounded up: quotients, and to multiples.
#pragma once

#include <cstdint>

namespace engine {

/// The least integer >= a / b, for a >= 0 and b > 0.
constexpr int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The least multiple of `multiple` that is >= a, for a >= 0 and multiple > 0.
constexpr int64_t round_up(int64_t a, int64_t multiple) {
  return ceil_divide(a, multiple) * multiple;
}

}  // namespace engine
