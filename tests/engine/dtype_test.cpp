#include "engine/dtype.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

// The value of a 16-bit float with these field widths, from IEEE 754's definition.
double value_of(uint16_t bits, int exponent_bits, int fraction_bits) {
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double fraction = std::ldexp(bits & ((1 << fraction_bits) - 1), -fraction_bits);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) return fraction == 0.0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias);
  return sign * std::ldexp(1.0 + fraction, exponent - bias);
}

// Every finite value of a format, ascending, with the bits that store it; +0 stands for both zeros.
struct Format {
  int exponent_bits;
  int fraction_bits;
  std::vector<std::pair<double, uint16_t>> finite;

  Format(int exponent_width, int fraction_width)
      : exponent_bits(exponent_width), fraction_bits(fraction_width) {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      const double value = value_of(static_cast<uint16_t>(bits), exponent_bits, fraction_bits);
      if (std::isfinite(value) && bits != 0x8000) {
        finite.emplace_back(value, static_cast<uint16_t>(bits));
      }
    }
    std::sort(finite.begin(), finite.end());
  }

  // The bits of the value nearest to x, the even ones of a tie. Half a step above the largest value
  // and beyond is infinity.
  uint16_t nearest(double x) const {
    const uint16_t infinity = static_cast<uint16_t>(((1 << exponent_bits) - 1) << fraction_bits);
    const double largest = finite.back().first;
    const double last_step = largest - finite[finite.size() - 2].first;
    const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    if (std::abs(x) >= largest + last_step / 2) return sign | infinity;
    auto above = std::lower_bound(finite.begin(), finite.end(), std::pair{x, uint16_t{0}});
    if (above == finite.begin()) return above->second;
    if (above == finite.end()) return std::prev(above)->second;
    const auto below = std::prev(above);
    const double to_above = above->first - x, to_below = x - below->first;
    const bool up = to_above < to_below || (to_above == to_below && above->second % 2 == 0);
    const uint16_t bits = up ? above->second : below->second;
    return bits == 0 ? sign : bits;
  }
};

template <typename T>
void check_format(const Format& format) {
  int wrong = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    T stored;
    stored.bits = static_cast<uint16_t>(bits);
    const double expected = value_of(stored.bits, format.exponent_bits, format.fraction_bits);
    const float value = static_cast<float>(stored);
    if (std::isnan(expected)) {
      wrong += !std::isnan(value) || !std::isnan(static_cast<float>(T(value)));
    } else {
      wrong += value != expected || T(value).bits != stored.bits;
    }
  }
  CHECK_MESSAGE(wrong == 0, wrong, " of 65536 bit patterns do not convert to float and back");
}

// Halfway points between neighbours, and the floats beside them, are where rounding goes wrong.
template <typename T>
void check_rounding(const Format& format) {
  int wrong = 0;
  const auto try_value = [&](float x) { wrong += T(x).bits != format.nearest(x); };
  for (size_t i = 1; i < format.finite.size(); ++i) {
    const auto halfway =
        static_cast<float>((format.finite[i - 1].first + format.finite[i].first) / 2);
    try_value(halfway);
    try_value(std::nextafter(halfway, INFINITY));
    try_value(std::nextafter(halfway, -INFINITY));
  }
  Random random(3);
  for (int i = 0; i < 100000; ++i) {
    const auto word = static_cast<uint32_t>(random.integer(0, UINT32_MAX));
    const float x = std::bit_cast<float>(word);
    if (!std::isnan(x)) try_value(x);
  }
  CHECK_MESSAGE(wrong == 0, wrong, " floats do not round to nearest even");
}

TEST_CASE("Half is IEEE binary16") {
  const Format format(5, 10);
  check_format<Half>(format);
  check_rounding<Half>(format);
  CHECK(Half(65504.0f).bits == 0x7bff);
  CHECK(Half(65519.99f).bits == 0x7bff);
  CHECK(Half(65520.0f).bits == 0x7c00);
  CHECK(Half(-1e30f).bits == 0xfc00);
}

TEST_CASE("BFloat16 is the upper half of a float") {
  const Format format(8, 7);
  check_format<BFloat16>(format);
  check_rounding<BFloat16>(format);
  CHECK(BFloat16(3.4e38f).bits == 0x7f80);
}

TEST_CASE("dtypes have names and sizes") {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kI32, DType::kI64}) {
    CHECK(parse_dtype(to_string(dtype)) == dtype);
  }
  CHECK(size_of(DType::kBF16) == 2);
  CHECK(size_of(DType::kF32) == 4);
  CHECK(size_of(DType::kI64) == 8);
  CHECK(is_floating(DType::kF16));
  CHECK_FALSE(is_floating(DType::kI32));
  expect_error([] { parse_dtype("float"); }, ErrorKind::kInvalidArgument,
               "unknown dtype 'float'; expected f32, f16, bf16, i32 or i64");
}

}  // namespace
}  // namespace engine::test
