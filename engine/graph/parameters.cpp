// Gives the layers of a graph their weights: from a file, or drawn at random.
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "engine/error.h"
#include "engine/graph/graph.h"
#include "engine/model/nearest_name.h"

namespace engine {
namespace {

std::vector<TensorSpec> typical_inputs(const Graph& graph, const Node& node) {
  std::vector<TensorSpec> inputs;
  for (const int value : node.inputs) {
    inputs.push_back(graph.values[static_cast<size_t>(value)].typical);
  }
  return inputs;
}

[[noreturn]] void fail(const Node& node, const std::string& message) {
  throw Error(ErrorKind::kWeights, fmt::format("{}: layer '{}' ({}): {}", to_string(node.place),
                                               node.name, node.type, message));
}

Tensor find_parameter(const Node& node, const ParameterSpec& parameter, const WeightFile& weights) {
  const std::string name = fmt::format("{}.{}", node.name, parameter.name);
  const Tensor* tensor = weights.find(name);
  if (!tensor) {
    std::vector<std::string> names;
    for (const auto& [known, unused] : weights.tensors()) names.push_back(known);
    fail(node, fmt::format("tensor '{}' of shape {} is not in {}{}", name,
                           to_string(parameter.shape), weights.path(), did_you_mean(name, names)));
  }
  if (tensor->shape() != parameter.shape) {
    fail(node, fmt::format("tensor '{}' in {} has shape {}, expected {}", name, weights.path(),
                           to_string(tensor->shape()), to_string(parameter.shape)));
  }
  if (!is_floating(tensor->dtype())) {
    fail(node, fmt::format("tensor '{}' in {} has dtype {}, expected floating point", name,
                           weights.path(), to_string(tensor->dtype())));
  }
  return tensor->to(DType::kF32);
}

// SplitMix64: small, and the same on every platform (https://prng.di.unimi.it/splitmix64.c).
class Generator {
 public:
  explicit Generator(uint64_t seed) : state_(seed) {}

  // Uniform in [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  // Standard normal, by Box and Muller.
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

float draw(Generator& generator, const Init& init) {
  switch (init.kind) {
    case Init::Kind::kUniform:
      return static_cast<float>(init.value * (2.0 * generator.uniform() - 1.0));
    case Init::Kind::kNormal:
      return static_cast<float>(init.value * generator.normal());
    case Init::Kind::kConstant:
      break;
  }
  return static_cast<float>(init.value);
}

}  // namespace

void load_parameters(Graph& graph, const WeightFile& weights) {
  for (Node& node : graph.nodes) {
    std::map<std::string, Tensor> parameters;
    for (const ParameterSpec& parameter : node.layer->parameters(typical_inputs(graph, node))) {
      parameters.emplace(parameter.name, find_parameter(node, parameter, weights));
    }
    node.layer->set_parameters(std::move(parameters));
  }
}

std::map<std::string, Tensor> random_parameters(const Graph& graph, uint64_t seed) {
  Generator generator(seed);
  std::map<std::string, Tensor> tensors;
  for (const Node& node : graph.nodes) {
    for (const ParameterSpec& parameter : node.layer->parameters(typical_inputs(graph, node))) {
      Tensor tensor = Tensor::empty(parameter.shape);
      float* data = tensor.data<float>();
      for (int64_t i = 0; i < tensor.elements(); ++i) data[i] = draw(generator, parameter.init);
      tensors.emplace(fmt::format("{}.{}", node.name, parameter.name), tensor);
    }
  }
  return tensors;
}

}  // namespace engine
