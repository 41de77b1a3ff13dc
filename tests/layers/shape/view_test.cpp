#include <doctest/doctest.h>

#include "engine/layer.h"
#include "tests/support/layer_check.h"

namespace engine::test {
namespace {

TEST_CASE("Identity, Flatten and Reshape keep the elements") {
  uint64_t seed = 1;
  check_layer({"Identity", "{}", {{{2, 3, 4}}}, seed++});
  check_layer({"Identity", "{}", {{{5}, DType::kI64}}, seed++, 100});
  check_layer({"Flatten", "{}", {{{2, 3, 4}}}, seed++});
  check_layer({"Flatten", "{}", {{{2, 3}}}, seed++});
  check_layer({"Flatten", "{start_dim: 0}", {{{2, 3, 4}}}, seed++});
  check_layer({"Flatten", "{start_dim: -3, end_dim: -2}", {{{2, 3, 4, 5}}}, seed++});
  check_layer({"Flatten", "{start_dim: 2, end_dim: 2}", {{{2, 3, 4}}}, seed++});
  check_layer({"Reshape", "{shape: [4, 6]}", {{{2, 3, 4}}}, seed++});
  check_layer({"Reshape", "{shape: [0, -1]}", {{{2, 3, 4}}}, seed++});
  check_layer({"Reshape", "{shape: [0, 0, 2, -1]}", {{{2, 3, 4}}}, seed++});
  check_layer({"Reshape", "{shape: -1}", {{{2, 3, 4}, DType::kI32}}, seed++, 100});
  check_layer({"Reshape", "{shape: [1, 1, 1]}", {{{1}}}, seed++});
}

TEST_CASE("Identity, Flatten and Reshape are views") {
  for (const auto& [type, attributes] : {std::pair{"Identity", "{}"}, std::pair{"Flatten", "{}"},
                                         std::pair{"Reshape", "{shape: [-1]}"}}) {
    CHECK(LayerRegistry::global().create(type, Attributes::parse(attributes))->is_view());
  }
}

TEST_CASE("Flatten and Reshape reject what they cannot take") {
  check_layer_error({"Flatten", "{start_dim: 2, end_dim: 1}", {{{2, 3, 4}}}},
                    "start_dim 2 comes after end_dim 1 of [2, 3, 4]");
  check_layer_error({"Flatten", "{}", {{{2}}}}, "dimension 1 is out of range");
  check_layer_error({"Reshape", "{shape: [5, -1]}", {{{2, 3, 4}}}},
                    "an input [2, 3, 4] of 24 elements does not reshape to [5, -1]");
  check_layer_error({"Reshape", "{shape: [5, 5]}", {{{2, 3, 4}}}}, "does not reshape to [5, 5]");
  check_layer_error({"Reshape", "{shape: [-1, -1]}", {{{4}}}}, "expected at most one -1");
  check_layer_error({"Reshape", "{shape: [-2]}", {{{4}}}}, "expected sizes >= -1, found -2");
  check_layer_error({"Reshape", "{shape: [1, 0]}", {{{4}}}}, "dimension 1 is out of range");
  check_layer_error({"Reshape", "{}", {{{4}}}}, "shape");
}

}  // namespace
}  // namespace engine::test
