#include "engine/round_up.h"

#include <doctest/doctest.h>

namespace engine::test {

TEST_CASE("quotients are rounded up and down, of negative numbers too") {
  for (int64_t b = 1; b <= 5; ++b) {
    for (int64_t a = -12; a <= 12; ++a) {
      CAPTURE(a);
      CAPTURE(b);
      const int64_t up = ceil_divide(a, b), down = floor_divide(a, b);
      CHECK(up * b >= a);
      CHECK((up - 1) * b < a);
      CHECK(down * b <= a);
      CHECK((down + 1) * b > a);
      CHECK(round_up(a, b) == up * b);
    }
  }
}

}  // namespace engine::test
