// Conv1d as the engine runs it: the kernel that is chosen, the rules of its attributes, and what it
// absorbs.
#include "layers/conv1d/conv1d.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "engine/error.h"
#include "tests/layers/conv1d/random_conv1d.h"
#include "tests/support/fused_check.h"
#include "tests/support/layer_check.h"

namespace engine::test {
namespace {

std::string shape_of(const std::string& attributes, const Shape& input) {
  return to_string(Conv1d(Attributes::parse(attributes)).infer({{input}})[0].shape);
}

TEST_CASE("Conv1d of swept parameters") {
  uint64_t seed = 1;
  for (const char* mode : {"zeros", "reflect", "replicate", "circular"}) {
    for (const int stride : {1, 2, 5}) {
      for (const int dilation : {1, 3}) {
        for (const char* padding : {"0", "2", "[1, 4]", "causal"}) {
          const std::string attributes = fmt::format(
              "{{out_channels: 6, kernel_size: 3, stride: {}, dilation: {}, padding: {}, "
              "padding_mode: {}, groups: 2}}",
              stride, dilation, padding, mode);
          check_layer({"Conv1d", attributes, {{{2, 4, 37}}}, seed++});
        }
      }
    }
  }
}

TEST_CASE("Conv1d of the shapes that networks use") {
  // Few channels in and a long kernel; depthwise; pointwise; grouped with a long kernel; dilated
  // far.
  check_layer({"Conv1d",
               "{out_channels: 13, kernel_size: 80, stride: 4, padding: 38}",
               {{{1, 1, 1600}}},
               1});
  check_layer({"Conv1d",
               "{out_channels: 24, kernel_size: 3, dilation: 8, padding: 8, groups: 24}",
               {{{1, 24, 3000}}},
               2});
  check_layer({"Conv1d", "{out_channels: 70, kernel_size: 1}", {{{3, 33, 129}}}, 3});
  check_layer({"Conv1d",
               "{out_channels: 12, kernel_size: 128, padding: 64, groups: 2}",
               {{{1, 8, 99}}},
               4});
  check_layer({"Conv1d", "{out_channels: 9, kernel_size: 2, dilation: 512}", {{{1, 5, 2000}}}, 5});
  check_layer({"Conv1d", "{out_channels: 1, kernel_size: 7, padding: 3}", {{{1, 32, 5000}}}, 6});
  check_layer({"Conv1d", "{out_channels: 40, kernel_size: 3}", {{{1, 300, 200}}}, 7});
}

TEST_CASE("Conv1d of extreme sizes") {
  check_layer({"Conv1d", "{out_channels: 5, kernel_size: 1}", {{{1, 1, 1}}}, 1});
  check_layer({"Conv1d", "{out_channels: 5, kernel_size: 9, padding: 4}", {{{70, 3, 1}}}, 2});
  check_layer({"Conv1d", "{out_channels: 2, kernel_size: 5000, padding: 4999}", {{{1, 2, 10}}}, 3});
  check_layer({"Conv1d", "{out_channels: 1, kernel_size: 40000}", {{{1, 1, 40010}}}, 4});
  check_layer({"Conv1d",
               "{out_channels: 3, kernel_size: 200, dilation: 300, padding: 30000}",
               {{{1, 6, 100}}},
               5});
  check_layer({"Conv1d",
               "{out_channels: 1, kernel_size: 2, stride: 1000000, dilation: 70000}",
               {{{1, 2, 70500}}},
               6});
}

TEST_CASE("Conv1d of random parameters") {
  for (uint64_t seed = 1; seed <= 150; ++seed) check_layer(random_conv1d(seed));
}

TEST_CASE("Conv1d keeps NaN and infinity") {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> values(64, 0.5f);
    values[20] = value;
    LayerCase layer_case{
        "Conv1d", "{out_channels: 4, kernel_size: 3, padding: 1}", {{{1, 1, 64}}}, 1, 1, values};
    layer_case.infinite_may_be_nan = true;
    check_layer(layer_case);
  }
}

// Values beside one that is not finite keep their scale, whatever a kernel scales together. (Of few
// products with two taps, or one tap for each remainder by the stride, as filtering in pairs of
// outputs spreads NaN over a pair.)
TEST_CASE("Conv1d of many channels keeps NaN and infinity to where they belong") {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> values(5003);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i % 7) * 0.25f - 0.7f;
    }
    values[20] = value;
    for (const char* attributes : {"{out_channels: 128, kernel_size: 2, padding: 1}",
                                   "{out_channels: 128, kernel_size: 8, stride: 8, padding: 4}"}) {
      LayerCase layer_case{"Conv1d", attributes, {{{2, 64, 2048}}}, 1, 1, values};
      layer_case.infinite_may_be_nan = true;
      check_layer(layer_case);
    }
  }
}

TEST_CASE("Conv1d's shape rule is torch's") {
  CHECK(shape_of("{out_channels: 8, kernel_size: 3}", {2, 4, 10}) == "[2, 8, 8]");
  CHECK(shape_of("{out_channels: 8, kernel_size: 3, stride: 3, dilation: 2, padding: 1}",
                 {2, 4, 10}) == "[2, 8, 3]");
  CHECK(shape_of("{out_channels: 8, kernel_size: 4, padding: same}", {2, 4, 10}) == "[2, 8, 10]");
  CHECK(shape_of("{out_channels: 8, kernel_size: 4, padding: causal}", {2, 4, 10}) == "[2, 8, 10]");
  CHECK(shape_of("{out_channels: 8, kernel_size: 4, padding: valid}", {2, 4, 10}) == "[2, 8, 7]");
  CHECK(shape_of("{out_channels: 8, kernel_size: 12, padding: [0, 2]}", {2, 4, 10}) == "[2, 8, 1]");
}

TEST_CASE("Conv1d counts operations and states its reach") {
  const Conv1d conv(
      Attributes::parse("{out_channels: 8, kernel_size: 3, dilation: 4, stride: 2, "
                        "groups: 2}"));
  const TensorSpec input{{2, 6, 29}};
  CHECK(conv.flops({input}, conv.infer({input})) == 2 * (2 * 8 * 11) * 3 * 3);
  CHECK(conv.reach()->extent == 9);
  CHECK(conv.reach()->step == 2.0);
}

TEST_CASE("Conv1d draws its weights as torch does") {
  const Conv1d conv(Attributes::parse("{out_channels: 8, kernel_size: 3, groups: 2}"));
  const std::vector<ParameterSpec> parameters = conv.parameters({{{1, 6, 29}}});
  REQUIRE(parameters.size() == 2);
  CHECK(parameters[0].shape == Shape{8, 3, 3});
  CHECK(parameters[1].shape == Shape{8});
  for (const ParameterSpec& parameter : parameters) {
    CHECK(parameter.init.kind == Init::Kind::kUniform);
    CHECK(parameter.init.value == doctest::Approx(1.0 / 3.0));
  }
}

TEST_CASE("Conv1d rejects attributes that make no convolution") {
  const auto check = [](const std::string& attributes, const std::string& expected) {
    check_layer_error({"Conv1d", attributes, {{{1, 4, 10}}}}, expected);
  };
  check("{kernel_size: 3}", "out_channels");
  check("{out_channels: 4}", "kernel_size");
  check("{out_channels: 4, kernel_size: 0}", "'kernel_size' must be at least 1, found 0");
  check("{out_channels: 4, kernel_size: 3, stride: 0}", "'stride' must be at least 1, found 0");
  check("{out_channels: 4, kernel_size: 3, groups: 3}",
        "out_channels (4) must be divisible by groups (3)");
  check("{out_channels: 4, kernel_size: 3, padding: same, stride: 2}",
        "padding 'same' needs stride 1, found 2");
  check("{out_channels: 4, kernel_size: 3, padding: sane}", "did you mean 'same'");
  check("{out_channels: 4, kernel_size: 3, padding: -1}",
        "'padding' must lie in [0, 2147483648], found -1");
  check("{out_channels: 4, kernel_size: 3, padding: [1, 2, 3]}",
        "'padding' must be a number or [left, right], same, valid or causal, found a list of 3");
  check("{out_channels: 4, kernel_size: 3, padding_mode: mirror}", "'padding_mode' must be one of");
  check("{out_channels: 4, kernel_size: 3, stride: 2147483649}",
        "'stride' must be at most 2147483648, found 2147483649");
  check("{out_channels: 4, kernel_size: 3, dilation: 2147483648}",
        "kernel_size 3 with dilation 2147483648 spans more than 2147483648 inputs");
}

TEST_CASE("Conv1d rejects inputs that it cannot take") {
  const auto check = [](const std::string& attributes, const TensorSpec& input,
                        const std::string& expected) {
    check_layer_error({"Conv1d", attributes, {input}}, expected);
  };
  check("{out_channels: 4, kernel_size: 3}", {{4, 10}},
        "expected an input of 3 dimensions (NCL), found [4, 10]");
  check("{out_channels: 4, kernel_size: 3}", {{1, 4, 10}, DType::kI64},
        "expected floating-point input, found i64 [1, 4, 10]");
  check("{out_channels: 4, kernel_size: 3}", {{0, 4, 10}}, "the input [0, 4, 10] is empty");
  check("{out_channels: 4, kernel_size: 3, in_channels: 5}", {{1, 4, 10}},
        "expected 5 input channels (in_channels), found 4 in [1, 4, 10]");
  check("{out_channels: 4, kernel_size: 3, groups: 4}", {{1, 6, 10}},
        "the input's 6 channels must be divisible by groups (4)");
  check("{out_channels: 4, kernel_size: 6, dilation: 3, padding: [2, 3]}", {{1, 4, 10}},
        "the kernel spans 16 inputs (kernel_size 6, dilation 3), but the padded input has 15 "
        "(length 10, padding 2 + 3)");
  check("{out_channels: 4, kernel_size: 3, padding: 10, padding_mode: reflect}", {{1, 4, 10}},
        "padding_mode reflect needs an input longer than its padding of 10, found length 10");
  check("{out_channels: 4, kernel_size: 3, padding: 11, padding_mode: circular}", {{1, 4, 10}},
        "padding_mode circular needs an input at least as long as its padding of 11, found length "
        "10");
}

TEST_CASE("Conv1d absorbs a batch norm and an activation") {
  uint64_t seed = 1;
  for (const char* bias : {"true", "false"}) {
    const std::string attributes =
        fmt::format("{{out_channels: 6, kernel_size: 3, groups: 2, padding: 1, bias: {}}}", bias);
    check_fused({"Conv1d", attributes, {{{2, 4, 50}}}, seed++}, 6);
  }
  check_fused({"Conv1d", "{out_channels: 8, kernel_size: 3, groups: 8}", {{{1, 8, 300}}}, 9}, 8);
}

TEST_CASE("Conv1d refuses to absorb what would not be exact") {
  Conv1d conv(Attributes::parse("{out_channels: 2, kernel_size: 1}"));
  conv.set_parameters({{"weight", Tensor::zeros({2, 1, 1})}, {"bias", Tensor::zeros({2})}});
  const ChannelAffine affine{{1.0, 1.0}, {0.0, 0.0}};
  const TensorSpec output{{1, 2, 5}};
  CHECK(conv.with_affine(affine, output) != nullptr);
  CHECK(conv.with_affine({{1.0}, {0.0}}, output) == nullptr);
  const auto fused = conv.with_activation({Activation::Kind::kReLU});
  REQUIRE(fused != nullptr);
  CHECK(fused->with_affine(affine, output) == nullptr);
  CHECK(fused->with_activation({Activation::Kind::kTanh}) == nullptr);
}

TEST_CASE("Conv1d absorbs one residual, and one activation on either side of it") {
  const Conv1d conv(Attributes::parse("{out_channels: 2, kernel_size: 1}"));
  const auto before = conv.with_activation({Activation::Kind::kReLU});
  const auto fused = before->with_residual();
  REQUIRE(fused != nullptr);
  CHECK(fused->with_residual() == nullptr);
  CHECK(fused->with_affine({{1.0, 1.0}, {0.0, 0.0}}, {{1, 2, 5}}) == nullptr);
  const auto after = fused->with_activation({Activation::Kind::kTanh});
  REQUIRE(after != nullptr);
  CHECK(after->with_activation({Activation::Kind::kTanh}) == nullptr);

  const Conv1dProblem problem =
      dynamic_cast<const Conv1d&>(*after).problem({{1, 3, 5}}, Precision::kFp32);
  CHECK(problem.residual);
  CHECK(problem.activation.kind == Activation::Kind::kReLU);
  CHECK(problem.residual_activation.kind == Activation::Kind::kTanh);
  CHECK(after->infer({{{1, 3, 5}}, {{1, 2, 5}}})[0].shape == Shape{1, 2, 5});
  CHECK_THROWS_WITH_AS(after->infer({{{1, 3, 5}}, {{1, 2, 1}}}),
                       "expected a residual f32 [1, 2, 5], found f32 [1, 2, 1]", Error);
  CHECK_THROWS_AS(after->infer({{{1, 3, 5}}}), Error);
}

}  // namespace
}  // namespace engine::test
