#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tests/support/layer_check.h"

namespace engine::test {
namespace {

TEST_CASE("PReLU of swept shapes") {
  const std::vector<Shape> shapes = {{1, 1},     {3, 7},     {1, 1, 1},     {2, 3, 5},
                                     {1, 4, 31}, {3, 2, 64}, {2, 5, 16411}, {65537, 2, 1}};
  uint64_t seed = 1;
  for (const Shape& shape : shapes) {
    check_layer({"PReLU", "{}", {{shape}}, seed++});
    check_layer({"PReLU", fmt::format("{{num_parameters: {}}}", shape[1]), {{shape}}, seed++});
  }
  check_layer({"PReLU", "{init: 0.1}", {{{70001}}}, seed});
}

TEST_CASE("PReLU of NaN and infinities") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  check_layer(
      {"PReLU", "{}", {{{1, 2, 5}}}, 1, 1, {std::nanf(""), -kInfinity, kInfinity, -0.0f, 1.0f}});
}

TEST_CASE("PReLU rejects what it cannot take") {
  check_layer_error({"PReLU", "{num_parameters: 3}", {{{2, 4, 5}}}},
                    "expected 3 channels (num_parameters) in dimension 1, found [2, 4, 5]");
  check_layer_error({"PReLU", "{num_parameters: 3}", {{{3}}}}, "in dimension 1, found [3]");
  check_layer_error({"PReLU", "{}", {{{3}, DType::kI64}}},
                    "expected an input of floating-point values");
}

}  // namespace
}  // namespace engine::test
