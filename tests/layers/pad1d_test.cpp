#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

TEST_CASE("Pad1d in every mode") {
  uint64_t seed = 1;
  for (const char* mode : {"constant", "reflect", "replicate", "circular"}) {
    for (const char* padding : {"0", "1", "[0, 4]", "[4, 0]", "[3, 2]"}) {
      for (const Shape& shape : {Shape{1, 1, 5}, Shape{2, 3, 17}, Shape{6}, Shape{2, 8}}) {
        check_layer(
            {"Pad1d", fmt::format("{{padding: {}, mode: {}}}", padding, mode), {{shape}}, seed++});
      }
    }
    check_layer(
        {"Pad1d", fmt::format("{{padding: [4, 3], mode: {}}}", mode), {{{1, 2, 70001}}}, seed++});
    check_layer(
        {"Pad1d", fmt::format("{{padding: 1, mode: {}}}", mode), {{{70000, 1, 2}}}, seed++});
  }
  check_layer({"Pad1d", "{padding: 3, value: -1.5}", {{{2, 3, 4}}}, seed++});
  check_layer({"Pad1d", "{padding: [0, 100000]}", {{{1, 1, 1}}}, seed++});
  check_layer({"Pad1d", "{padding: 50, mode: replicate}", {{{1, 2, 1}}}, seed++});
  check_layer({"Pad1d", "{padding: 4, mode: circular}", {{{1, 2, 4}}}, seed++});
}

TEST_CASE("Pad1d of integers") {
  for (const DType dtype : {DType::kI32, DType::kI64}) {
    check_layer({"Pad1d", "{padding: [1, 2], value: 7}", {{{2, 5}, dtype}}, 1, 1000});
  }
}

TEST_CASE("Pad1d of random problems") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    const Shape shape = {random.integer(1, 3), random.integer(1, 5), random.integer(1, 40)};
    const auto mode = random.pick<const char*>({"constant", "reflect", "replicate", "circular"});
    const auto attributes =
        fmt::format("{{padding: [{}, {}], mode: {}}}", random.integer(0, shape[2] - 1),
                    random.integer(0, shape[2] - 1), mode);
    check_layer({"Pad1d", attributes, {{shape}}, seed});
  }
}

TEST_CASE("Pad1d rejects what it cannot take") {
  check_layer_error(
      {"Pad1d", "{padding: 5, mode: reflect}", {{{1, 2, 5}}}},
      "reflect padding must be smaller than the length: found padding 5 and length 5");
  check_layer_error({"Pad1d", "{padding: [0, 6], mode: circular}", {{{1, 2, 5}}}},
                    "circular padding must not exceed the length: found padding 6 and length 5");
  check_layer_error({"Pad1d", "{padding: 9223372036854775807}", {{{1, 2, 5}}}},
                    "padding [9223372036854775807, 9223372036854775807] is too large");
  check_layer_error({"Pad1d", "{padding: -1}", {{{1, 2, 5}}}}, "expected padding >= 0; use Slice");
  check_layer_error({"Pad1d", "{padding: [1, 2, 3]}", {{{1, 2, 5}}}},
                    "expected a number or [left, right], found 3 numbers");
  check_layer_error({"Pad1d", "{padding: 1, mode: mirror}", {{{1, 2, 5}}}}, "mode");
  check_layer_error({"Pad1d", "{}", {{{1, 2, 5}}}}, "padding");
}

}  // namespace
}  // namespace engine::test
