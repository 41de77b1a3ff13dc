#include "tests/support/fused_check.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/layer.h"
#include "tests/support/expectation.h"
#include "tests/support/following.h"
#include "tests/support/random.h"
#include "tests/support/run_layer.h"

namespace engine::test {
namespace {

using Value = reference::Value<double>;

ChannelAffine draw_affine(int64_t channels, Random& random) {
  ChannelAffine affine;
  for (int64_t c = 0; c < channels; ++c) {
    affine.scale.push_back(random.uniform(0.5, 2.0) * (random.chance(0.5) ? 1.0 : -1.0));
    affine.shift.push_back(random.normal());
  }
  return affine;
}

Value apply(const ChannelAffine& affine, Value value) {
  const auto channels = static_cast<int64_t>(affine.scale.size());
  const int64_t run = value.shape.size() == 3 ? value.shape[2] : 1;
  for (size_t i = 0; i < value.data.size(); ++i) {
    const auto c = static_cast<size_t>(static_cast<int64_t>(i) / run % channels);
    value.data[i] = affine.scale[c] * value.data[i] + affine.shift[c];
  }
  return value;
}

// Runs the layer with the activation fused behind it.
void check_following(const Layer& layer, const std::vector<Tensor>& inputs, Expectation expected,
                     const Following& following, const Target& target) {
  INFO("with ", following.type, " ", following.attributes);
  std::unique_ptr<Layer> fused;
  if (!following.is_identity()) {
    fused = layer.with_activation(following.activation());
    REQUIRE(fused != nullptr);
    expected = then_activation(expected, following.type, Attributes::parse(following.attributes));
  }
  const Layer& whole = fused ? *fused : layer;
  const Tensor output = run_layer(whole, inputs, target).front();
  const std::string wrong = difference(output, expected, target.precision);
  CHECK_MESSAGE(wrong.empty(), wrong);
}

Tensor draw(const Shape& shape, DType storage, Random& random) {
  Tensor tensor = Tensor::empty(shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.data<float>()[i] = static_cast<float>(random.normal());
  }
  return tensor.to(storage);
}

void check_on(const LayerCase& layer_case, int64_t channels, const Target& target) {
  Random random(layer_case.seed);
  const Attributes attributes = Attributes::parse(layer_case.attributes);
  const auto layer = LayerRegistry::global().create(layer_case.type, attributes);
  const DType storage = storage_dtype(target.precision);
  Problem problem{layer_case.type, attributes, {}, {}};
  problem.parameters = draw_parameters(*layer, layer_case.inputs, storage, random);
  layer->set_parameters(problem.parameters);
  for (const TensorSpec& spec : layer_case.inputs) {
    problem.inputs.push_back(draw(spec.shape, storage, random));
  }
  const ChannelAffine affine = draw_affine(channels, random);
  const auto folded = layer->with_affine(affine, layer->infer(layer_case.inputs)[0]);
  REQUIRE(folded != nullptr);

  const Value exact = apply(affine, expect(problem, target.precision)[0].exact);
  problem.parameters = folded->loaded_parameters();
  // Twice what the folded layer may err by: once more for the rounding of the folded parameters.
  const double allowed = 2.0 * expect(problem, target.precision)[0].allowed;
  const Expectation expected{exact, allowed};
  for (const Following& following : followings()) {
    check_following(*folded, problem.inputs, expected, following, target);
  }
  const auto with_residual = folded->with_residual();
  if (with_residual == nullptr) return;
  INFO("with a residual");
  std::vector<Tensor> inputs = problem.inputs;
  inputs.push_back(draw(exact.shape, storage, random));
  for (const Following& following : followings()) {
    check_following(*with_residual, inputs, then_add(expected, inputs.back(), target.precision),
                    following, target);
  }
}

}  // namespace

void check_fused(const LayerCase& layer_case, int64_t channels) {
  INFO(layer_case.type, " ", layer_case.attributes, " seed ", layer_case.seed);
  for (const Target& target : targets()) {
    INFO("on ", to_string(target));
    check_on(layer_case, channels, target);
  }
}

}  // namespace engine::test
