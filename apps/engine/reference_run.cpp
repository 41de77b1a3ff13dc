#include "apps/engine/reference_run.h"

#include <fmt/format.h>

#include <map>

#include "apps/engine/tensor_text.h"

namespace engine::cli {
namespace {

using Value = reference::Value<double>;

Value to_reference(const Tensor& tensor) {
  Value value{tensor.shape(), std::vector<double>(static_cast<size_t>(tensor.elements()))};
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    value.data[static_cast<size_t>(i)] = element(tensor, i);
  }
  return value;
}

std::vector<Value> evaluate(const Node& node, const LayerSpec& layer,
                            const std::vector<Value>& inputs) {
  reference::Parameters<double> parameters;
  for (const auto& [name, tensor] : node.layer->loaded_parameters()) {
    parameters[name] = to_reference(tensor);
  }
  return reference::evaluate<double>(node.type, layer.attributes, parameters, inputs);
}

}  // namespace

std::vector<ReferenceValue> run_reference(const Graph& graph, const ModelSpec& spec,
                                          const std::vector<Tensor>& inputs,
                                          const std::vector<Tensor>& cpu_values,
                                          Progress& progress) {
  std::map<std::string, const LayerSpec*> layers;
  for (const LayerSpec& layer : spec.layers) layers[layer.name] = &layer;
  std::vector<Value> values(graph.values.size());
  std::vector<bool> is_known(graph.values.size(), true);
  for (size_t i = 0; i < inputs.size(); ++i) {
    values[static_cast<size_t>(graph.inputs[i].value)] = to_reference(inputs[i]);
  }
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    progress.set(static_cast<double>(n) / static_cast<double>(graph.nodes.size()));
    const Node& node = graph.nodes[n];
    std::vector<Value> node_inputs;
    for (const int value : node.inputs) node_inputs.push_back(values[static_cast<size_t>(value)]);
    const bool known = reference::knows(node.type);
    std::vector<Value> outputs;
    if (known) outputs = evaluate(node, *layers.at(node.name), node_inputs);
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const auto value = static_cast<size_t>(node.outputs[i]);
      values[value] = known ? std::move(outputs[i]) : to_reference(cpu_values[value]);
      is_known[value] = known;
    }
  }
  std::vector<ReferenceValue> results;
  for (size_t i = 0; i < values.size(); ++i) {
    results.push_back({std::move(values[i].data), is_known[i]});
  }
  return results;
}

}  // namespace engine::cli
