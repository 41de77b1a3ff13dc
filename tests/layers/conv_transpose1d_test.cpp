#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "engine/layer.h"
#include "tests/layers/conv1d/random_conv1d.h"
#include "tests/support/fused_check.h"
#include "tests/support/layer_check.h"

namespace engine::test {
namespace {

std::unique_ptr<Layer> create(const std::string& attributes) {
  return LayerRegistry::global().create("ConvTranspose1d", Attributes::parse(attributes));
}

std::string shape_of(const std::string& attributes, const Shape& input) {
  return to_string(create(attributes)->infer({{input}})[0].shape);
}

TEST_CASE("ConvTranspose1d of swept parameters") {
  uint64_t seed = 1;
  for (const int stride : {1, 2, 3, 8}) {
    for (const int dilation : {1, 2, 3}) {
      for (const int kernel_size : {1, 3, 4, 16}) {
        for (const int padding : {0, 1}) {
          const std::string attributes = fmt::format(
              "{{out_channels: 6, kernel_size: {}, stride: {}, dilation: {}, padding: {}, groups: "
              "2, output_padding: {}}}",
              kernel_size, stride, dilation, padding, std::max(stride, dilation) - 1);
          check_layer({"ConvTranspose1d", attributes, {{{2, 4, 21}}}, seed++});
        }
      }
    }
  }
}

TEST_CASE("ConvTranspose1d of the shapes that networks use") {
  // HiFi-GAN's and DAC's upsampling; Demucs' decoder; one output channel; a length of 1.
  check_layer({"ConvTranspose1d",
               "{out_channels: 20, kernel_size: 16, stride: 8, padding: 4}",
               {{{1, 40, 100}}},
               1});
  check_layer(
      {"ConvTranspose1d", "{out_channels: 7, kernel_size: 8, stride: 4}", {{{2, 300, 33}}}, 2});
  check_layer(
      {"ConvTranspose1d", "{out_channels: 1, kernel_size: 16, stride: 8}", {{{1, 30, 900}}}, 3});
  check_layer({"ConvTranspose1d",
               "{out_channels: 6, kernel_size: 4, stride: 2, groups: 6}",
               {{{1, 6, 5000}}},
               4});
  check_layer({"ConvTranspose1d", "{out_channels: 5, kernel_size: 3}", {{{1, 2, 1}}}, 5});
  // Gaps between the taps' outputs, which only the bias fills.
  check_layer(
      {"ConvTranspose1d", "{out_channels: 5, kernel_size: 2, stride: 50}", {{{1, 3, 9}}}, 6});
  check_layer({"ConvTranspose1d",
               "{out_channels: 2, kernel_size: 9, stride: 6, dilation: 4}",
               {{{1, 3, 70}}},
               7});
}

TEST_CASE("ConvTranspose1d of random parameters") {
  for (uint64_t seed = 1; seed <= 150; ++seed) check_layer(random_conv_transpose1d(seed));
}

TEST_CASE("ConvTranspose1d's shape rule is torch's") {
  CHECK(shape_of("{out_channels: 8, kernel_size: 3}", {2, 4, 10}) == "[2, 8, 12]");
  CHECK(shape_of("{out_channels: 8, kernel_size: 4, stride: 2, padding: 1}", {2, 4, 10}) ==
        "[2, 8, 20]");
  CHECK(shape_of("{out_channels: 8, kernel_size: 3, stride: 2, padding: [1, 0], output_padding: 1, "
                 "dilation: 3}",
                 {2, 4, 10}) == "[2, 8, 25]");
}

TEST_CASE("ConvTranspose1d's parameters, operations and reach") {
  const auto layer = create("{out_channels: 6, kernel_size: 4, stride: 2, groups: 2, dilation: 3}");
  const TensorSpec input{{1, 8, 10}};
  const std::vector<ParameterSpec> parameters = layer->parameters({input});
  REQUIRE(parameters.size() == 2);
  CHECK(parameters[0].shape == Shape{8, 3, 4});
  CHECK(parameters[1].shape == Shape{6});
  CHECK(parameters[0].init.value == doctest::Approx(std::sqrt(1.0 / 12.0)));
  CHECK(layer->flops({input}, layer->infer({input})) == 2 * 80 * 3 * 4);
  CHECK(layer->reach()->extent == 5);
  CHECK(layer->reach()->step == 0.5);
}

TEST_CASE("ConvTranspose1d rejects what makes no transposed convolution") {
  const auto check = [](const std::string& attributes, const Shape& input,
                        const std::string& expected) {
    check_layer_error({"ConvTranspose1d", attributes, {{input}}}, expected);
  };
  check("{out_channels: 4, kernel_size: 3, output_padding: 2, stride: 2, dilation: 2}", {1, 4, 9},
        "output_padding (2) must be less than stride (2) or dilation (2)");
  check("{out_channels: 4, kernel_size: 3, groups: 3}", {1, 3, 9},
        "out_channels (4) must be divisible by groups (3)");
  check("{out_channels: 4, kernel_size: 3, groups: 2}", {1, 3, 9},
        "the input's 3 channels must be divisible by groups (2)");
  check("{out_channels: 4, kernel_size: 3, in_channels: 2}", {1, 3, 9},
        "expected 2 input channels (in_channels), found 3 in [1, 3, 9]");
  check("{out_channels: 4, kernel_size: 3, padding: 3}", {1, 3, 4},
        "the output length would be 0: padding 3 + 3 takes all of length 4 with kernel_size 3, "
        "stride 1, dilation 1, output_padding 0");
  check("{out_channels: 4, kernel_size: 3, padding: same}", {1, 3, 9}, "padding");
  check("{out_channels: 4, kernel_size: 3, padding_mode: reflect}", {1, 3, 9}, "padding_mode");
  check("{out_channels: 4, kernel_size: 3}", {3, 9},
        "expected an input of 3 dimensions (NCL), found [3, 9]");
}

TEST_CASE("ConvTranspose1d absorbs a batch norm and an activation") {
  check_fused({"ConvTranspose1d",
               "{out_channels: 6, kernel_size: 4, stride: 2, groups: 2}",
               {{{2, 4, 30}}},
               1},
              6);
  check_fused(
      {"ConvTranspose1d", "{out_channels: 3, kernel_size: 5, bias: false}", {{{1, 4, 30}}}, 2}, 3);
}

}  // namespace
}  // namespace engine::test
