// ModelSpec -> Graph: builds the layers, infers shapes at the typical sizes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/error.h"
#include "engine/graph/graph.h"

namespace engine {
namespace {

[[noreturn]] void fail(const Place& place, const std::string& message) {
  throw Error(ErrorKind::kModel, fmt::format("{}: {}", to_string(place), message));
}

// "split:1" -> "split"; a plain name is its own layer.
std::string layer_of(const std::string& reference) {
  return reference.substr(0, reference.rfind(':'));
}

// Builds one graph; holds what is only needed while doing so.
class Builder {
 public:
  Builder(const ModelSpec& spec, const LayerRegistry& registry)
      : spec_(spec), registry_(registry) {}

  Graph build(const std::vector<Shape>& input_shapes) {
    for (size_t i = 0; i < spec_.inputs.size(); ++i) add_input(spec_.inputs[i], input_shapes[i]);
    for (const LayerSpec& layer : spec_.layers) add_node(layer);
    for (const OutputSpec& output : spec_.outputs) {
      graph_.outputs.push_back({output.name, find_value(output.value)});
    }
    return std::move(graph_);
  }

 private:
  void add_input(const InputSpec& input, const Shape& shape) {
    const DType logical = is_floating(input.dtype) ? DType::kF32 : input.dtype;
    graph_.inputs.push_back({input, add_value(input.name, {shape, logical})});
  }

  int add_value(const std::string& name, TensorSpec spec) {
    const int index = static_cast<int>(graph_.values.size());
    graph_.values.push_back({name, std::move(spec)});
    value_index_[name] = index;
    return index;
  }

  int find_value(const ValueRef& reference) const {
    const std::string& name = reference.name;
    if (const auto found = value_index_.find(name); found != value_index_.end()) {
      return found->second;
    }
    const std::string layer = layer_of(name);
    fail(reference.place, value_index_.count(layer)
                              ? fmt::format("layer '{}' has no output '{}'", layer, name)
                              : fmt::format("no input or earlier layer is called '{}'", layer));
  }

  void add_node(const LayerSpec& layer) {
    Node node{layer.name, layer.type, layer.place, registry_.create(layer.type, layer.attributes),
              {},         {}};
    std::vector<TensorSpec> inputs;
    for (const ValueRef& input : layer.inputs) {
      node.inputs.push_back(find_value(input));
      inputs.push_back(graph_.values[static_cast<size_t>(node.inputs.back())].typical);
    }
    const std::vector<TensorSpec> outputs = infer_node(node, inputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const std::string name = i == 0 ? layer.name : fmt::format("{}:{}", layer.name, i);
      node.outputs.push_back(add_value(name, outputs[i]));
    }
    graph_.nodes.push_back(std::move(node));
  }

  std::vector<TensorSpec> infer_node(const Node& node, const std::vector<TensorSpec>& inputs) {
    try {
      return node.layer->infer(inputs);
    } catch (const Error& error) {
      fail(node.place, fmt::format("layer '{}' ({}): {}", node.name, node.type, error.what()));
    }
  }

  const ModelSpec& spec_;
  const LayerRegistry& registry_;
  Graph graph_;
  std::map<std::string, int> value_index_;
};

// Every name's size, for a declared shape.
Shape with_sizes(const InputSpec& input, const std::map<std::string, int64_t>& sizes) {
  Shape shape;
  for (const SizeSpec& size : input.shape) {
    shape.push_back(size.is_named() ? sizes.at(size.name) : size.value);
  }
  return shape;
}

std::vector<Shape> shapes_with_sizes(const ModelSpec& spec,
                                     const std::map<std::string, int64_t>& sizes) {
  std::vector<Shape> shapes;
  for (const InputSpec& input : spec.inputs) shapes.push_back(with_sizes(input, sizes));
  return shapes;
}

// Typical sizes that follow from the declarations alone; names left over go to `open`.
std::map<std::string, int64_t> known_sizes(const ModelSpec& spec, std::vector<std::string>* open) {
  std::map<std::string, int64_t> sizes = spec.typical_sizes;
  for (const InputSpec& input : spec.inputs) {
    for (size_t i = 0; i < input.shape.size(); ++i) {
      const SizeSpec& size = input.shape[i];
      if (!size.is_named() || sizes.count(size.name)) continue;
      const bool is_length = i + 1 == input.shape.size();
      if (i == 0) {
        sizes[size.name] = 1;
      } else if (is_length && input.sample_rate) {
        sizes[size.name] = std::max<int64_t>(1, static_cast<int64_t>(*input.sample_rate));
      } else {
        sizes[size.name] = 0;
        open->push_back(size.name);
      }
    }
  }
  return sizes;
}

}  // namespace

std::vector<Shape> typical_shapes(const ModelSpec& spec, const LayerRegistry& registry) {
  std::vector<std::string> open;
  std::map<std::string, int64_t> sizes = known_sizes(spec, &open);
  if (open.empty()) return shapes_with_sizes(spec, sizes);
  constexpr int64_t kLargestTried = 65536;
  std::exception_ptr first_failure;
  for (int64_t size = kLargestTried; size >= 1; size /= 2) {
    for (const std::string& name : open) sizes[name] = size;
    try {
      const std::vector<Shape> shapes = shapes_with_sizes(spec, sizes);
      Builder(spec, registry).build(shapes);
      return shapes;
    } catch (const Error&) {
      if (!first_failure) first_failure = std::current_exception();
    }
  }
  std::rethrow_exception(first_failure);
}

Graph build_graph(const ModelSpec& spec, const LayerRegistry& registry) {
  return Builder(spec, registry).build(typical_shapes(spec, registry));
}

std::vector<TensorSpec> infer_values(const Graph& graph, const std::vector<Shape>& input_shapes) {
  std::vector<TensorSpec> specs(graph.values.size());
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const auto value = static_cast<size_t>(graph.inputs[i].value);
    specs[value] = {input_shapes[i], graph.values[value].typical.dtype};
  }
  for (const Node& node : graph.nodes) {
    std::vector<TensorSpec> inputs;
    for (const int value : node.inputs) inputs.push_back(specs[static_cast<size_t>(value)]);
    try {
      const std::vector<TensorSpec> outputs = node.layer->infer(inputs);
      for (size_t i = 0; i < outputs.size(); ++i) {
        specs[static_cast<size_t>(node.outputs[i])] = outputs[i];
      }
    } catch (const Error& error) {
      throw Error(error.kind(), fmt::format("{}: layer '{}' ({}): {}", to_string(node.place),
                                            node.name, node.type, error.what()));
    }
  }
  return specs;
}

void check_input_shapes(const Graph& graph, const std::vector<Shape>& input_shapes) {
  if (input_shapes.size() != graph.inputs.size()) {
    throw Error(ErrorKind::kInvalidArgument, fmt::format("the model takes {} inputs, found {}",
                                                         graph.inputs.size(), input_shapes.size()));
  }
  std::map<std::string, int64_t> sizes;
  for (size_t i = 0; i < input_shapes.size(); ++i) {
    const InputSpec& input = graph.inputs[i].spec;
    const Shape& shape = input_shapes[i];
    std::vector<std::string> expected;
    for (const SizeSpec& size : input.shape) {
      expected.push_back(size.is_named() ? size.name : fmt::format("{}", size.value));
    }
    const auto reject = [&](const std::string& why) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("input '{}': expected shape [{}], found {}{}", input.name,
                              fmt::join(expected, ", "), to_string(shape), why));
    };
    if (shape.size() != input.shape.size()) reject("");
    for (size_t d = 0; d < shape.size(); ++d) {
      const SizeSpec& size = input.shape[d];
      if (shape[d] < 1) reject("; every size must be at least 1");
      if (!size.is_named() && size.value != shape[d]) reject("");
      if (!size.is_named()) continue;
      const auto [known, is_new] = sizes.emplace(size.name, shape[d]);
      if (!is_new && known->second != shape[d]) {
        reject(fmt::format("; '{}' is {} in another place", size.name, known->second));
      }
    }
  }
}

}  // namespace engine
