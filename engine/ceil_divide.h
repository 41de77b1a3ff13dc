// Integer division that rounds up.
#pragma once

#include <cstdint>

namespace engine {

/// The least integer >= a / b, for a >= 0 and b > 0.
constexpr int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace engine
