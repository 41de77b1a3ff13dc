#include <doctest/doctest.h>
#include <fmt/format.h>

#include "engine/layer.h"
#include "tests/support/fused_check.h"
#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

std::unique_ptr<Layer> create(const std::string& attributes) {
  return LayerRegistry::global().create("Linear", Attributes::parse(attributes));
}

TEST_CASE("Linear of swept sizes") {
  uint64_t seed = 1;
  const std::vector<Shape> shapes = {{1},      {7},        {1, 1},       {1, 300},  {5, 33},
                                     {300, 9}, {2, 3, 17}, {2, 1, 4, 6}, {130, 65}, {1, 2000}};
  for (const Shape& shape : shapes) {
    for (const int features : {1, 5, 64, 131}) {
      for (const char* bias : {"true", "false"}) {
        check_layer({"Linear",
                     fmt::format("{{out_features: {}, bias: {}}}", features, bias),
                     {{shape}},
                     seed++});
      }
    }
  }
}

TEST_CASE("Linear of random sizes") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    Shape shape(static_cast<size_t>(random.integer(1, 3)));
    for (int64_t& size : shape) size = random.integer(1, 40);
    check_layer(
        {"Linear",
         fmt::format("{{out_features: {}, in_features: {}}}", random.integer(1, 200), shape.back()),
         {{shape}},
         seed});
  }
}

TEST_CASE("Linear's shape rule, parameters and operations") {
  const auto layer = create("{out_features: 7}");
  const TensorSpec input{{2, 3, 16}};
  const std::vector<TensorSpec> outputs = layer->infer({input});
  CHECK(outputs[0].shape == Shape{2, 3, 7});
  CHECK(layer->flops({input}, outputs) == 2 * 6 * 7 * 16);
  const std::vector<ParameterSpec> parameters = layer->parameters({input});
  REQUIRE(parameters.size() == 2);
  CHECK(parameters[0].shape == Shape{7, 16});
  CHECK(parameters[1].shape == Shape{7});
  CHECK(parameters[0].init.value == 0.25);
  CHECK(create("{out_features: 7, bias: false}")->parameters({input}).size() == 1);
}

TEST_CASE("Linear rejects inputs that it cannot take") {
  check_layer_error({"Linear", "{}", {{{1, 4}}}}, "out_features");
  check_layer_error({"Linear", "{out_features: 3, in_features: 5}", {{{1, 4}}}},
                    "expected a last dimension of 5 (in_features), found [1, 4]");
  check_layer_error({"Linear", "{out_features: 3}", {{{1, 4}, DType::kI32}}},
                    "expected a floating-point input of at least one dimension that is not empty, "
                    "found i32 [1, 4]");
  check_layer_error({"Linear", "{out_features: 3}", {{{0, 4}}}}, "found f32 [0, 4]");
}

TEST_CASE("Linear absorbs a batch norm and an activation") {
  check_fused({"Linear", "{out_features: 9}", {{{4, 21}}}, 1}, 9);
  check_fused({"Linear", "{out_features: 70, bias: false}", {{{3, 130}}}, 2}, 70);
}

TEST_CASE("Linear absorbs no batch norm whose channels are not its outputs") {
  const auto layer = create("{out_features: 3}");
  layer->set_parameters({{"weight", Tensor::zeros({3, 2})}, {"bias", Tensor::zeros({3})}});
  const ChannelAffine affine{{1.0, 1.0, 1.0}, {0.0, 0.0, 0.0}};
  CHECK(layer->with_affine(affine, {{4, 3}}) != nullptr);
  CHECK(layer->with_affine(affine, {{4, 3, 3}}) == nullptr);  // channels are the middle dimension
}

}  // namespace
}  // namespace engine::test
