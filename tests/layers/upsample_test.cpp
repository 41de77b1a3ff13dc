#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

TEST_CASE("Upsample by a factor") {
  uint64_t seed = 1;
  for (const char* mode : {"mode: nearest", "mode: linear", "mode: linear, align_corners: true"}) {
    for (const int64_t factor : {1, 2, 3, 4, 7, 41, 49}) {
      for (const int64_t length : {1, 2, 5, 100}) {
        check_layer({"Upsample",
                     fmt::format("{{scale_factor: {}, {}}}", factor, mode),
                     {{{2, 3, length}}},
                     seed++});
      }
    }
    check_layer(
        {"Upsample", fmt::format("{{scale_factor: 2, {}}}", mode), {{{1, 1, 40001}}}, seed++});
    check_layer(
        {"Upsample", fmt::format("{{scale_factor: 3, {}}}", mode), {{{70000, 1, 2}}}, seed++});
  }
}

TEST_CASE("Upsample to a size, also a smaller one") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const Shape shape = {random.integer(1, 3), random.integer(1, 3), random.integer(1, 60)};
    const auto mode = random.pick<const char*>(
        {"mode: nearest", "mode: linear", "mode: linear, align_corners: true"});
    const int64_t size = random.integer(1, 150);
    check_layer({"Upsample", fmt::format("{{size: {}, {}}}", size, mode), {{shape}}, seed});
  }
}

TEST_CASE("Upsample rejects what it cannot take") {
  check_layer_error({"Upsample", "{scale_factor: 2}", {{{2, 3}}}},
                    "expected an input of 3 dimensions (NCL), found [2, 3]");
  check_layer_error({"Upsample", "{}", {{{1, 2, 3}}}}, "expected either `size` or `scale_factor`");
  check_layer_error({"Upsample", "{size: 4, scale_factor: 2}", {{{1, 2, 3}}}},
                    "expected either `size` or `scale_factor`");
  check_layer_error({"Upsample", "{scale_factor: 0}", {{{1, 2, 3}}}}, "scale_factor");
  check_layer_error({"Upsample", "{scale_factor: 2, mode: cubic}", {{{1, 2, 3}}}}, "mode");
  check_layer_error({"Upsample", "{scale_factor: 2, align_corners: true}", {{{1, 2, 3}}}},
                    "align_corners needs mode: linear");
  check_layer_error({"Upsample", "{scale_factor: 2}", {{{1, 2, 3}, DType::kI32}}},
                    "expected a floating-point input");
  check_layer_error({"Upsample", "{size: 1152921504606846975}", {{{1, 1, 17}}}},
                    "length 17 does not resample to 1152921504606846975: both are too large");
  check_layer_error({"Upsample", "{size: 9223372036854775807, mode: linear}", {{{1, 1, 3}}}},
                    "has too many elements");
}

}  // namespace
}  // namespace engine::test
