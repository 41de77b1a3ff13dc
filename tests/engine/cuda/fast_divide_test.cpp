#include "engine/cuda/fast_divide.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "tests/support/random.h"

namespace engine::test {
namespace {

void check(int64_t n, int64_t divisor) {
  const cuda::FastDivide divide(divisor);
  CAPTURE(n);
  CAPTURE(divisor);
  CHECK(divide.quotient(n) == n / divisor);
  CHECK(divide.remainder(n) == n % divisor);
}

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();

}  // namespace

TEST_CASE("fast division at the edges of every divisor") {
  for (int bit = 0; bit < 63; ++bit) {
    const int64_t power = int64_t{1} << bit;
    for (const int64_t divisor : {power - 1, power, power + 1, kLargest / power}) {
      if (divisor < 1) continue;
      for (const int64_t n : {int64_t{0}, int64_t{1}, divisor - 1, divisor, kLargest - 1, kLargest,
                              kLargest / divisor * divisor, kLargest / divisor * divisor - 1}) {
        check(n, divisor);
      }
    }
  }
}

TEST_CASE("fast division of random numbers") {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const int64_t divisor = (kLargest >> random.integer(0, 61)) - random.integer(0, 1);
    check(random.integer(0, kLargest >> random.integer(0, 62)), divisor);
  }
}

}  // namespace engine::test
