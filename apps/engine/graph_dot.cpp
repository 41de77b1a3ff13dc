#include "apps/engine/graph_dot.h"

#include <fmt/format.h>

namespace engine::cli {
namespace {

// A DOT string: quotes and backslashes escaped.
std::string dot_string(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

std::string graph_dot(const std::string& name, const Graph& graph,
                      const std::vector<Shape>& input_shapes) {
  const std::vector<TensorSpec> specs = infer_values(graph, input_shapes);
  std::vector<std::string> producer(graph.values.size());  // DOT node of each value
  std::string text =
      fmt::format("digraph {} {{\n  rankdir=TB;\n  node [shape=box];\n", dot_string(name));
  const auto add_edge = [&](int value, const std::string& target) {
    const auto index = static_cast<size_t>(value);
    text += fmt::format("  {} -> {} [label={}];\n", producer[index], target,
                        dot_string(to_string(specs[index].shape)));
  };
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const std::string node = fmt::format("input{}", i);
    producer[static_cast<size_t>(graph.inputs[i].value)] = node;
    text += fmt::format("  {} [shape=ellipse, label={}];\n", node,
                        dot_string(graph.inputs[i].spec.name));
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const std::string id = fmt::format("layer{}", i);
    text += fmt::format("  {} [label={}];\n", id, dot_string(node.name + " (" + node.type + ")"));
    for (const int value : node.inputs) add_edge(value, id);
    for (const int value : node.outputs) producer[static_cast<size_t>(value)] = id;
  }
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const std::string id = fmt::format("output{}", i);
    text += fmt::format("  {} [shape=ellipse, label={}];\n", id, dot_string(graph.outputs[i].name));
    add_edge(graph.outputs[i].value, id);
  }
  return text + "}\n";
}

}  // namespace engine::cli
