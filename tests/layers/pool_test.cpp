#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "engine/layer.h"
#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

Shape inferred(const std::string& type, const std::string& attributes, int64_t length) {
  const auto layer = LayerRegistry::global().create(type, Attributes::parse(attributes));
  return layer->infer({{{1, 1, length}}}).at(0).shape;
}

TEST_CASE("window pools of random shapes and parameters") {
  Random random(5);
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    const int64_t kernel = random.integer(1, random.chance(0.2) ? 300 : 9);
    const int64_t stride = random.integer(1, kernel + 2);
    const int64_t padding = random.integer(0, kernel / 2);
    const int64_t dilation = random.integer(1, 4);
    const char* ceil_mode = random.chance(0.5) ? "true" : "false";
    const char* count_pad = random.chance(0.5) ? "true" : "false";
    const int64_t length = (kernel - 1) * dilation + random.integer(1, 700);
    const TensorSpec input{{random.integer(1, 3), random.integer(1, 5), length}};
    const std::string common =
        fmt::format("kernel_size: {}, stride: {}, padding: {}, ceil_mode: {}", kernel, stride,
                    padding, ceil_mode);
    check_layer(
        {"MaxPool1d", fmt::format("{{{}, dilation: {}}}", common, dilation), {input}, seed});
    check_layer({"AvgPool1d",
                 fmt::format("{{{}, count_include_pad: {}}}", common, count_pad),
                 {input},
                 seed});
  }
}

TEST_CASE("window pools with defaults, and of CL") {
  check_layer({"MaxPool1d", "{kernel_size: 3}", {{{2, 4, 31}}}});
  check_layer({"AvgPool1d", "{kernel_size: 3}", {{{2, 4, 31}}}});
  check_layer({"MaxPool1d", "{kernel_size: 2}", {{{3, 16411}}}});
  check_layer({"AvgPool1d", "{kernel_size: 1}", {{{1, 1, 1}}}});
}

TEST_CASE("window pools whose windows lie one behind the other, with and without a rest") {
  for (const int64_t kernel : {2, 3, 4}) {
    for (const int64_t length : {4, 5, 12, 24, 30, 31, 32, 47, 64, 70, 140, 4001}) {
      const std::string attributes = fmt::format("{{kernel_size: {}}}", kernel);
      check_layer({"MaxPool1d", attributes, {{{2, 5, length}}}});
      check_layer({"AvgPool1d", attributes, {{{2, 5, length}}}});
    }
  }
}

TEST_CASE("adaptive pools of random sizes") {
  Random random(6);
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const int64_t length = random.integer(1, random.chance(0.3) ? 5000 : 60);
    const int64_t output = random.integer(1, random.chance(0.5) ? 4 : 80);
    const TensorSpec input{{random.integer(1, 3), random.integer(1, 5), length}};
    const std::string attributes = fmt::format("{{output_size: {}}}", output);
    check_layer({"AdaptiveAvgPool1d", attributes, {input}, seed});
    check_layer({"AdaptiveMaxPool1d", attributes, {input}, seed});
  }
}

TEST_CASE("pools of long windows, which several blocks share") {
  for (const int64_t length : {63, 64, 65, 1023, 1024, 1025, 16384, 16385, 50001}) {
    const TensorSpec input{{1, 2, length}};
    check_layer({"AdaptiveAvgPool1d", "{output_size: 1}", {input}});
    check_layer({"AdaptiveMaxPool1d", "{output_size: 2}", {input}});
    const std::string whole =
        fmt::format("{{kernel_size: {}, padding: {}, ceil_mode: true}}", length, length / 2);
    check_layer({"AvgPool1d", whole, {input}});
    check_layer({"MaxPool1d", whole, {input}});
  }
}

TEST_CASE("pools of more rows than a grid's y dimension has blocks") {
  check_layer({"MaxPool1d", "{kernel_size: 2}", {{{70001, 1, 4}}}});
  check_layer({"AdaptiveAvgPool1d", "{output_size: 1}", {{{2, 35000, 3}}}});
}

TEST_CASE("pools of NaN and infinities") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {1.0f,          -kInfinity, -kInfinity, kInfinity, 2.0f,
                                     std::nanf(""), 3.0f,       -1.0f,      4.0f,      0.5f};
  for (const int64_t kernel : {1, 2, 3, 5}) {
    for (const int64_t stride : {1, 2, 3}) {
      const std::string attributes =
          fmt::format("{{kernel_size: {}, stride: {}, padding: {}}}", kernel, stride, kernel / 2);
      check_layer({"MaxPool1d", attributes, {{{1, 1, 10}}}, 1, 1, values});
      check_layer({"AvgPool1d", attributes, {{{1, 1, 10}}}, 1, 1, values});
    }
  }
  for (const int64_t kernel : {2, 3, 4}) {
    const std::string attributes = fmt::format("{{kernel_size: {}}}", kernel);
    for (const int64_t repeats : {1, 3, 7}) {
      std::vector<float> row;
      for (int64_t i = 0; i < repeats; ++i) row.insert(row.end(), values.begin(), values.end());
      check_layer({"MaxPool1d", attributes, {{{1, 1, 10 * repeats}}}, 1, 1, row});
      check_layer({"AvgPool1d", attributes, {{{1, 1, 10 * repeats}}}, 1, 1, row});
    }
  }
  check_layer({"AdaptiveMaxPool1d", "{output_size: 5}", {{{1, 1, 10}}}, 1, 1, values});
  check_layer({"AdaptiveMaxPool1d", "{output_size: 1}", {{{1, 1, 70}}}, 1, 1, values});
}

TEST_CASE("ceil_mode adds a window only where it starts in the input or its left padding") {
  // Lengths as torch.nn computes them.
  CHECK(inferred("MaxPool1d", "{kernel_size: 2, stride: 5, ceil_mode: true}", 12)[2] == 3);
  CHECK(inferred("MaxPool1d", "{kernel_size: 2, stride: 5, ceil_mode: true}", 10)[2] == 2);
  CHECK(inferred("AvgPool1d", "{kernel_size: 4, stride: 5, padding: 2, ceil_mode: true}", 12)[2] ==
        3);
  CHECK(inferred("AvgPool1d", "{kernel_size: 4, stride: 4, padding: 2, ceil_mode: true}", 9)[2] ==
        3);
  CHECK(inferred("MaxPool1d", "{kernel_size: 13, ceil_mode: true}", 12)[2] == 1);
  CHECK(inferred("MaxPool1d", "{kernel_size: 2, stride: 5}", 12)[2] == 3);
}

TEST_CASE("how far pools see") {
  const auto reach = [](const std::string& type, const std::string& attributes) {
    return LayerRegistry::global().create(type, Attributes::parse(attributes))->reach();
  };
  const auto windows = reach("MaxPool1d", "{kernel_size: 3, stride: 2, dilation: 4}");
  CHECK(windows->extent == 9);
  CHECK(windows->step == 2.0);
  CHECK(reach("AvgPool1d", "{kernel_size: 3}")->step == 3.0);
  CHECK(!reach("AdaptiveAvgPool1d", "{output_size: 2}"));
}

TEST_CASE("pools reject what they cannot take") {
  check_layer_error({"MaxPool1d", "{kernel_size: 3, padding: 2}", {{{1, 1, 9}}}},
                    "expected a padding of at most half the kernel_size 3, found 2");
  check_layer_error({"MaxPool1d", "{kernel_size: 3, dilation: 2}", {{{1, 1, 4}}}},
                    "expected an input at least as long as a window, 5 (kernel_size 3, dilation "
                    "2); found length 4 with padding 0");
  check_layer_error({"AvgPool1d", "{kernel_size: 3, dilation: 2}", {{{1, 1, 9}}}}, "dilation");
  check_layer_error({"AvgPool1d", "{}", {{{1, 1, 9}}}}, "kernel_size");
  check_layer_error({"AvgPool1d", "{kernel_size: 0}", {{{1, 1, 9}}}}, "kernel_size");
  check_layer_error({"AdaptiveAvgPool1d", "{output_size: 0}", {{{1, 1, 9}}}}, "output_size");
  check_layer_error({"MaxPool1d", "{kernel_size: 2}", {{{9}}}},
                    "expected an input of 2 or 3 dimensions (CL or NCL), found [9]");
  check_layer_error({"MaxPool1d", "{kernel_size: 2}", {{{1, 9}, DType::kI64}}},
                    "expected an input of floating-point values");
}

}  // namespace
}  // namespace engine::test
