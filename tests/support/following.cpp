#include "tests/support/following.h"

#include "engine/layer.h"

namespace engine::test {

Activation Following::activation() const {
  if (is_identity()) return {};
  const auto layer = LayerRegistry::global().create(type, Attributes::parse(attributes));
  return layer->as_activation().value();
}

const std::vector<Following>& followings() {
  static const std::vector<Following> all = {
      {"Identity", "{}"}, {"ReLU", "{}"},    {"LeakyReLU", "{negative_slope: 0.2}"},
      {"ELU", "{}"},      {"GELU", "{}"},    {"GELU", "{approximate: tanh}"},
      {"SiLU", "{}"},     {"Sigmoid", "{}"}, {"Tanh", "{}"},
      {"Softplus", "{}"}};
  return all;
}

}  // namespace engine::test
