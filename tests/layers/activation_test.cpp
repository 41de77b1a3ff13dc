#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/support/layer_check.h"

namespace engine::test {
namespace {

// Every pointwise activation, with its parameters at their defaults and away from them.
const std::vector<std::pair<std::string, std::string>> kActivations = {
    {"ReLU", "{}"},
    {"LeakyReLU", "{}"},
    {"LeakyReLU", "{negative_slope: 0.2}"},
    {"ELU", "{}"},
    {"ELU", "{alpha: 0.5}"},
    {"GELU", "{}"},
    {"GELU", "{approximate: tanh}"},
    {"SiLU", "{}"},
    {"Sigmoid", "{}"},
    {"Tanh", "{}"},
    {"Softplus", "{}"},
    {"Softplus", "{beta: 3, threshold: 2}"},
};

TEST_CASE("activations of swept sizes") {
  const std::vector<Shape> shapes = {{1},        {1, 1, 1},  {7},           {2, 3, 5},
                                     {1, 4, 31}, {3, 1, 64}, {2, 5, 16411}, {1, 1, 70001}};
  uint64_t seed = 1;
  for (const auto& [type, attributes] : kActivations) {
    for (const Shape& shape : shapes) check_layer({type, attributes, {{shape}}, seed++});
  }
}

TEST_CASE("activations of extreme values") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> values = {kNaN,      kInfinity, -kInfinity, 3e38f,  -3e38f,  65504.0f,
                                     -65504.0f, 1e4f,      -1e4f,      100.0f, -100.0f, 88.0f,
                                     -88.0f,    20.0f,     20.1f,      -20.0f, 5.0f,    -5.0f,
                                     1e-6f,     -1e-6f,    1e-40f,     0.0f,   -0.0f};
  for (const auto& [type, attributes] : kActivations) {
    // One at a time, so that the tolerance of a large value does not hide a small one's error.
    for (const float value : values) check_layer({type, attributes, {{{1, 2, 3}}}, 1, 1, {value}});
    check_layer({type, attributes, {{{static_cast<int64_t>(values.size())}}}, 1, 1, values});
  }
}

TEST_CASE("activations reject what they cannot take") {
  check_layer_error({"ReLU", "{}", {{{2, 3}}, {{2, 3}}}}, "expected 1 input, found 2");
  check_layer_error({"LeakyReLU", "{negative_slope: steep}", {{{2}}}}, "negative_slope");
  check_layer_error({"GELU", "{approximate: erf}", {{{2}}}}, "approximate");
  check_layer_error({"Relu", "{}", {{{2}}}}, "did you mean 'ReLU'");
  check_layer_error({"ReLU", "{slope: 1}", {{{2}}}}, "slope");
}

}  // namespace
}  // namespace engine::test
