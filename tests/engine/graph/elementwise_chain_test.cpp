#include "engine/graph/elementwise_chain.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/error.h"
#include "tests/reference/reference.h"
#include "tests/support/layer_check.h"
#include "tests/support/models.h"
#include "tests/support/random.h"
#include "tests/support/run_layer.h"

namespace engine::test {
namespace {

// A chain under construction: values by index, inputs first.
struct Drawn {
  std::vector<Tensor> inputs;
  std::vector<Node> nodes;
  std::vector<Attributes> attributes;  // of each node
  Shape shape;                         // of every node's output
};

Tensor draw_tensor(const Shape& shape, Random& random) {
  Tensor tensor = Tensor::empty(shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.data<float>()[i] = static_cast<float>(random.normal());
  }
  return tensor;
}

// Adds a node that reads `inputs`; returns its value, which follows `most_inputs` and the nodes'.
int add_node(Drawn& chain, const std::string& type, const std::string& attributes,
             const std::vector<int>& inputs, int value, const std::vector<TensorSpec>& specs,
             Random& random) {
  chain.attributes.push_back(Attributes::parse(attributes));
  Node node;
  node.name = type + std::to_string(value);
  node.type = type;
  node.inputs = inputs;
  node.outputs = {value};
  node.layer = LayerRegistry::global().create(type, chain.attributes.back());
  node.layer->set_parameters(draw_parameters(*node.layer, specs, DType::kF32, random));
  chain.nodes.push_back(std::move(node));
  return value;
}

constexpr int kFirstResult = 100;  // values below are inputs

// Between 2 and 8 nodes in a row, each of which reads the one before, and perhaps inputs of its own
// that have its shape or broadcast to it.
Drawn draw_chain(uint64_t seed) {
  Random random(seed);
  Drawn chain;
  chain.shape = {random.integer(1, 3), random.integer(1, 5),
                 random.pick<int64_t>({1, 7, 64, 1023, 2048, 5000})};
  const auto draw_input = [&](const Shape& shape) {
    chain.inputs.push_back(draw_tensor(shape, random));
    return static_cast<int>(chain.inputs.size()) - 1;
  };
  const Shape& s = chain.shape;
  const std::vector<std::pair<std::string, std::string>> functions = {
      {"ReLU", "{}"},        {"LeakyReLU", "{}"},
      {"GELU", "{}"},        {"Tanh", "{}"},
      {"ELU", "{}"},         {"Sigmoid", "{}"},
      {"BatchNorm1d", "{}"}, {"PReLU", "{num_parameters: " + std::to_string(s[1]) + "}"}};
  int value = -1;
  if (random.chance(0.3)) {
    const int gated = draw_input({s[0], 2 * s[1], s[2]});
    value = add_node(chain, "GLU", "{dim: 1}", {gated}, kFirstResult, {chain.inputs.back().spec()},
                     random);
  } else {
    value = draw_input(s);
  }
  const int64_t count = random.integer(2, 8);
  while (static_cast<int64_t>(chain.nodes.size()) < count) {
    const int next = kFirstResult + static_cast<int>(chain.nodes.size());
    if (random.chance(0.5)) {
      const auto [type, attributes] = random.pick(functions);
      value = add_node(chain, type, attributes, {value}, next, {{s}}, random);
      continue;
    }
    std::vector<int> inputs = {value};
    for (int64_t more = random.integer(1, 3); more > 0; --more) {
      const Shape shape = random.pick<Shape>({s, s, {s[1], 1}, {s[2]}, {s[0], 1, 1}, {}});
      inputs.insert(inputs.begin() + random.integer(0, static_cast<int64_t>(inputs.size())),
                    random.chance(0.2) ? value : draw_input(shape));
    }
    value = add_node(chain, random.chance(0.5) ? "Add" : "Mul", "{}", inputs, next, {}, random);
  }
  return chain;
}

template <typename Scalar>
reference::Value<Scalar> to_value(const Tensor& tensor) {
  return {tensor.shape(), {tensor.data<float>(), tensor.data<float>() + tensor.elements()}};
}

template <typename Scalar>
std::vector<Scalar> evaluate(const Drawn& chain) {
  std::map<int, reference::Value<Scalar>> values;
  for (size_t i = 0; i < chain.inputs.size(); ++i) {
    values[static_cast<int>(i)] = to_value<Scalar>(chain.inputs[i]);
  }
  for (size_t i = 0; i < chain.nodes.size(); ++i) {
    const Node& node = chain.nodes[i];
    reference::Parameters<Scalar> parameters;
    for (const auto& [name, tensor] : node.layer->loaded_parameters()) {
      parameters[name] = to_value<Scalar>(tensor);
    }
    std::vector<reference::Value<Scalar>> inputs;
    for (const int value : node.inputs) inputs.push_back(values.at(value));
    values[node.outputs[0]] =
        reference::evaluate<Scalar>(node.type, chain.attributes[i], parameters, inputs).front();
  }
  return values.at(chain.nodes.back().outputs[0]).data;
}

// Against fp64: at most twice the largest error of the same functions in plain f32, or a few units
// in the last place.
void check_chain(const Drawn& chain) {
  REQUIRE(ElementwiseChain::can_join(chain.nodes));
  const ElementwiseChain layer(chain.nodes);
  std::vector<Tensor> inputs;
  for (const int value : ElementwiseChain::inputs_of(chain.nodes)) {
    inputs.push_back(chain.inputs[static_cast<size_t>(value)]);
  }
  const Tensor output = run_layer(layer, inputs, {Device::cpu()}).front();
  REQUIRE(output.shape() == chain.shape);
  const std::vector<double> exact = evaluate<double>(chain);
  const std::vector<float> plain = evaluate<float>(chain);
  double largest = 0.0, plain_error = 0.0, error = 0.0;
  for (size_t i = 0; i < exact.size(); ++i) {
    largest = std::max(largest, std::abs(exact[i]));
    plain_error = std::max(plain_error, std::abs(plain[i] - exact[i]));
    error = std::max(error, std::abs(output.data<float>()[i] - exact[i]));
  }
  CHECK(error <= std::max(2.0 * plain_error, 0x1p-22 * largest));
}

}  // namespace

TEST_CASE("chains of random elementwise layers") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    check_chain(draw_chain(seed));
  }
}

TEST_CASE("several results of a chain meet in one layer") {
  Random random(7);
  Drawn chain;
  chain.shape = {2, 3, 3001};
  for (int i = 0; i < 4; ++i) chain.inputs.push_back(draw_tensor(chain.shape, random));
  const auto add = [&](const std::string& type, const std::vector<int>& inputs) {
    const int value = kFirstResult + static_cast<int>(chain.nodes.size());
    return add_node(chain, type, "{}", inputs, value, {{chain.shape}}, random);
  };
  const int a = add("Tanh", {0});
  const int b = add("Mul", {a, 1});
  const int c = add("Sigmoid", {2});
  const int d = add("ELU", {3});
  const int e = add("Mul", {d, c});
  add("Add", {e, b, 0});
  check_chain(chain);
}

TEST_CASE("a chain takes no more values than it has tiles for") {
  Random random(1);
  Drawn chain;
  chain.shape = {1, 1, 4};
  chain.inputs.push_back(draw_tensor(chain.shape, random));
  std::vector<int> values;
  for (int i = 0; i < 5; ++i) {
    values.push_back(add_node(chain, "Tanh", "{}", {0}, kFirstResult + i, {{chain.shape}}, random));
  }
  add_node(chain, "Add", "{}", values, kFirstResult + 5, {}, random);
  CHECK_FALSE(ElementwiseChain::can_join(chain.nodes));
  chain.nodes.erase(chain.nodes.begin());
  CHECK(ElementwiseChain::can_join(chain.nodes));
}

TEST_CASE("a chain needs layers whose steps compute parts") {
  struct Whole : Layer {
    std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
      return inputs;
    }
    Step prepare(const PrepareContext&) const override { return {"whole_cpu"}; }
    bool is_elementwise() const override { return true; }
  };
  Random random(1);
  Drawn chain;
  chain.shape = {1, 2, 3};
  chain.inputs.push_back(draw_tensor(chain.shape, random));
  add_node(chain, "Tanh", "{}", {0}, kFirstResult, {{chain.shape}}, random);
  add_node(chain, "Tanh", "{}", {kFirstResult}, kFirstResult + 1, {{chain.shape}}, random);
  chain.nodes[1].layer = std::make_shared<Whole>();
  chain.nodes[1].name = "mine";
  chain.nodes[1].type = "Whole";
  const ElementwiseChain layer(chain.nodes);
  CHECK(error_text([&] { run_layer(layer, chain.inputs, {Device::cpu()}); }) ==
        "layer 'mine' (Whole) is elementwise, but its step has no range; make it by "
        "elementwise_step()");
}

TEST_CASE("a chain counts what its layers do") {
  Random random(1);
  Drawn chain;
  chain.shape = {2, 3, 10};
  chain.inputs.push_back(draw_tensor(chain.shape, random));
  add_node(chain, "BatchNorm1d", "{}", {0}, kFirstResult, {{chain.shape}}, random);
  add_node(chain, "Add", "{}", {kFirstResult, 0}, kFirstResult + 1, {}, random);
  const ElementwiseChain layer(chain.nodes);
  CHECK(layer.flops({{chain.shape}}, {{chain.shape}}) == 3 * 60);
  CHECK(layer.loaded_parameters().size() == 4);
  CHECK(layer.reach()->extent == 1);
}

}  // namespace engine::test
