#include "engine/cpu/share_work.h"

#include <doctest/doctest.h>

#include <cstdint>

namespace engine::cpu {

TEST_CASE("work of less than 20 us is not shared") {
  CHECK(grain_of(1000, 19e-6) == 1000);
  CHECK(grain_of(1000, 0.0) == 1000);
  // 20 us are 50,000 elements.
  CHECK(element_grain(49000) == 49000);
  CHECK(element_grain(100, 490) == 100);
  CHECK(element_grain(0) == 0);
}

TEST_CASE("more work is shared in pieces of 5 us") {
  CHECK(grain_of(1000, 100e-6) == 51);
  CHECK(element_grain(1'000'000) == 12501);
  CHECK(element_grain(1000, 100'000) == 1);
  CHECK(element_grain(int64_t{1} << 40, 8) < 2000);
}

}  // namespace engine::cpu
