#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "engine/layer.h"
#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

TEST_CASE("BatchNorm1d of swept shapes") {
  const std::vector<Shape> shapes = {{1, 1},     {3, 7},       {2, 70001}, {1, 1, 1},
                                     {2, 3, 5},  {1, 4, 31},   {3, 2, 64}, {2, 5, 16411},
                                     {70001, 2}, {65537, 1, 3}};
  uint64_t seed = 1;
  for (const Shape& shape : shapes) {
    check_layer({"BatchNorm1d", "{}", {{shape}}, seed++});
    check_layer({"BatchNorm1d", "{affine: false, eps: 0.1}", {{shape}}, seed++});
  }
}

TEST_CASE("BatchNorm1d of random shapes") {
  Random random(7);
  for (uint64_t seed = 100; seed < 130; ++seed) {
    const int64_t channels = random.integer(1, 40);
    Shape shape = {random.integer(1, 5), channels};
    if (random.chance(0.8)) shape.push_back(random.integer(1, 300));
    const std::string attributes =
        fmt::format("{{num_features: {}, momentum: 0.2, track_running_stats: true}}", channels);
    check_layer({"BatchNorm1d", attributes, {{shape}}, seed});
  }
}

TEST_CASE("InstanceNorm1d with tracked statistics is a batch norm") {
  const auto layer = LayerRegistry::global().create(
      "InstanceNorm1d", Attributes::parse("{track_running_stats: true, affine: true}"));
  const std::vector<ParameterSpec> parameters = layer->parameters({{{2, 3, 4}}});
  REQUIRE(parameters.size() == 4);
  CHECK(parameters[2].name == "running_mean");
  CHECK(layer->reach()->extent == 1);
}

TEST_CASE("BatchNorm1d as an affine map of the channels") {
  const auto layer = LayerRegistry::global().create("BatchNorm1d", Attributes::parse("{eps: 0.5}"));
  const auto set = [](float a, float b) {
    Tensor tensor = Tensor::empty({2});
    tensor.data<float>()[0] = a;
    tensor.data<float>()[1] = b;
    return tensor;
  };
  layer->set_parameters({{"weight", set(3.0f, -2.0f)},
                         {"bias", set(1.0f, 0.5f)},
                         {"running_mean", set(10.0f, -4.0f)},
                         {"running_var", set(0.0f, 3.5f)}});
  const auto affine = layer->as_channel_affine();
  REQUIRE(affine);
  CHECK(affine->scale[0] == doctest::Approx(3.0 / std::sqrt(0.5)).epsilon(1e-14));
  CHECK(affine->shift[0] == doctest::Approx(1.0 - 30.0 / std::sqrt(0.5)).epsilon(1e-14));
  CHECK(affine->scale[1] == doctest::Approx(-1.0).epsilon(1e-14));
  CHECK(affine->shift[1] == doctest::Approx(-3.5).epsilon(1e-14));
}

TEST_CASE("BatchNorm1d keeps NaN and infinities where they are") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {1.0f, std::nanf(""), -2.0f, kInfinity, 0.5f, -kInfinity};
  check_layer({"BatchNorm1d", "{}", {{{2, 3, 7}}}, 1, 1, values});
}

TEST_CASE("BatchNorm1d rejects what it cannot take") {
  check_layer_error({"BatchNorm1d", "{}", {{{4}}}},
                    "expected an input of 2 or 3 dimensions (NC or NCL), found [4]");
  check_layer_error({"BatchNorm1d", "{num_features: 3}", {{{2, 4, 5}}}},
                    "expected 3 channels (num_features), found 4 in [2, 4, 5]");
  check_layer_error({"BatchNorm1d", "{}", {{{2, 4}, DType::kI64}}},
                    "expected an input of floating-point values, found i64 [2, 4]");
  check_layer_error({"BatchNorm1d", "{track_running_stats: false}", {{{2, 4}}}},
                    "BatchNorm1d normalises with running_mean and running_var");
  check_layer_error({"BatchNorm1d", "{}", {}}, "expected 1 input, found 0");
}

}  // namespace
}  // namespace engine::test
