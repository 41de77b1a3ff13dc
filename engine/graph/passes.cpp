#include "engine/graph/passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "engine/error.h"
#include "engine/graph/elementwise_chain.h"

namespace engine {
namespace {

// How many nodes and graph outputs read each value.
std::vector<int> count_readers(const Graph& graph) {
  std::vector<int> readers(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    for (const int value : node.inputs) ++readers[static_cast<size_t>(value)];
  }
  for (const GraphOutput& output : graph.outputs) ++readers[static_cast<size_t>(output.value)];
  return readers;
}

// The node before and the one after as one layer, or null where they do not combine.
using Combine = std::function<std::unique_ptr<Layer>(const Node& before, const Node& after)>;

// Lets each node absorb the one-input, one-output nodes that alone read its only output.
std::vector<std::string> absorb(Graph& graph, const Combine& combine) {
  const std::vector<int> readers = count_readers(graph);
  std::vector<int> producer(graph.values.size(), -1);  // index into kept
  std::vector<Node> kept;
  std::vector<std::string> absorbed;
  for (Node& node : graph.nodes) {
    const int before = node.inputs.size() == 1 && node.outputs.size() == 1
                           ? producer[static_cast<size_t>(node.inputs[0])]
                           : -1;
    if (before >= 0) {
      Node& earlier = kept[static_cast<size_t>(before)];
      const bool private_value =
          earlier.outputs.size() == 1 && readers[static_cast<size_t>(node.inputs[0])] == 1;
      if (auto layer = private_value ? combine(earlier, node) : nullptr) {
        absorbed.push_back(fmt::format("{} into {}", node.name, earlier.name));
        earlier.layer = std::move(layer);
        earlier.outputs = node.outputs;
        producer[static_cast<size_t>(node.outputs[0])] = before;
        continue;
      }
    }
    for (const int value : node.outputs) {
      producer[static_cast<size_t>(value)] = static_cast<int>(kept.size());
    }
    kept.push_back(std::move(node));
  }
  graph.nodes = std::move(kept);
  return absorbed;
}

// The input shapes at the typical sizes, and with each named size doubled in turn.
std::vector<std::vector<Shape>> probe_inputs(const Graph& graph) {
  std::set<std::string> names = {""};  // no name: nothing is doubled
  for (const GraphInput& input : graph.inputs) {
    for (const SizeSpec& size : input.spec.shape) names.insert(size.name);
  }
  std::vector<std::vector<Shape>> probes;
  for (const std::string& name : names) {
    std::vector<Shape>& shapes = probes.emplace_back();
    for (const GraphInput& input : graph.inputs) {
      Shape& shape =
          shapes.emplace_back(graph.values[static_cast<size_t>(input.value)].typical.shape);
      for (size_t d = 0; d < shape.size(); ++d) {
        const SizeSpec& size = input.spec.shape[d];
        if (size.is_named() && size.name == name) shape[d] *= 2;
      }
    }
  }
  return probes;
}

// Tells values that always have one shape from values that only do at the typical sizes, such as a
// batch of 1 and a constant 1 that stretches to any batch.
class ShapeProbes {
 public:
  explicit ShapeProbes(const Graph& graph) {
    for (const std::vector<Shape>& inputs : probe_inputs(graph)) {
      probes_.push_back(infer_known(graph, inputs));
    }
  }

  bool equal(int a, int b) const {
    return std::all_of(probes_.begin(), probes_.end(), [=](const Specs& specs) {
      const auto& first = specs[static_cast<size_t>(a)];
      const auto& second = specs[static_cast<size_t>(b)];
      return first && second && first->shape == second->shape;
    });
  }

 private:
  using Specs = std::vector<std::optional<TensorSpec>>;

  // Of all values; nothing for those whose layers cannot take these sizes.
  static Specs infer_known(const Graph& graph, const std::vector<Shape>& input_shapes) {
    Specs specs(graph.values.size());
    for (size_t i = 0; i < graph.inputs.size(); ++i) {
      const auto value = static_cast<size_t>(graph.inputs[i].value);
      specs[value] = {input_shapes[i], graph.values[value].typical.dtype};
    }
    for (const Node& node : graph.nodes) {
      std::vector<TensorSpec> inputs;
      for (const int value : node.inputs) {
        if (const auto& spec = specs[static_cast<size_t>(value)]) inputs.push_back(*spec);
      }
      if (inputs.size() < node.inputs.size()) continue;
      try {
        const std::vector<TensorSpec> outputs = node.layer->infer(inputs);
        for (size_t i = 0; i < outputs.size(); ++i) {
          specs[static_cast<size_t>(node.outputs[i])] = outputs[i];
        }
      } catch (const Error&) {
        continue;
      }
    }
    return specs;
  }

  std::vector<Specs> probes_;
};

// Puts the node before a sum in the sum's place, where it adds the other input itself; false where
// its layer cannot. The place that it leaves has no layer.
bool add_within(Node& before, int other, Node& sum) {
  auto layer = before.layer->with_residual();
  if (layer == nullptr) return false;
  Node whole = std::move(before);
  whole.layer = std::move(layer);
  whole.inputs.push_back(other);
  whole.outputs = sum.outputs;
  sum = std::move(whole);
  return true;
}

// Whether the node may be part of an elementwise chain.
bool is_link(const Graph& graph, const Node& node) {
  return node.layer->is_elementwise() && node.outputs.size() == 1 &&
         graph.values[static_cast<size_t>(node.outputs[0])].typical.dtype == DType::kF32;
}

// The nodes as one in the last one's place.
Node join(std::vector<Node> nodes) {
  Node whole = nodes.back();
  whole.inputs = ElementwiseChain::inputs_of(nodes);
  whole.layer = std::make_shared<ElementwiseChain>(std::move(nodes));
  return whole;
}

}  // namespace

std::vector<std::string> remove_dead_layers(Graph& graph) {
  std::set<int> needed;
  for (const GraphOutput& output : graph.outputs) needed.insert(output.value);
  std::vector<std::string> dead;
  std::vector<Node> kept;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    const bool alive = std::any_of(node->outputs.begin(), node->outputs.end(),
                                   [&](int value) { return needed.count(value) > 0; });
    if (alive) {
      needed.insert(node->inputs.begin(), node->inputs.end());
      kept.push_back(std::move(*node));
    } else {
      dead.push_back(node->name);
    }
  }
  std::reverse(kept.begin(), kept.end());
  std::reverse(dead.begin(), dead.end());
  graph.nodes = std::move(kept);
  return dead;
}

std::vector<std::string> fold_affine_layers(Graph& graph) {
  return absorb(graph, [&](const Node& before, const Node& after) -> std::unique_ptr<Layer> {
    const auto affine = after.layer->as_channel_affine();
    if (!affine) return nullptr;
    const auto output = static_cast<size_t>(before.outputs[0]);
    return before.layer->with_affine(*affine, graph.values[output].typical);
  });
}

std::vector<std::string> fuse_activations(Graph& graph) {
  return absorb(graph, [](const Node& before, const Node& after) -> std::unique_ptr<Layer> {
    const auto activation = after.layer->as_activation();
    return activation ? before.layer->with_activation(*activation) : nullptr;
  });
}

std::vector<std::string> fuse_residuals(Graph& graph) {
  const std::vector<int> readers = count_readers(graph);
  const ShapeProbes shapes(graph);
  std::vector<int> producer(graph.values.size(), -1);  // index into nodes
  std::vector<std::string> fused;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& sum = graph.nodes[i];
    const auto add_to = [&](int value, int other) {
      const int before = producer[static_cast<size_t>(value)];
      return before >= 0 && readers[static_cast<size_t>(value)] == 1 &&
             graph.nodes[static_cast<size_t>(before)].outputs.size() == 1 &&
             add_within(graph.nodes[static_cast<size_t>(before)], other, sum);
    };
    if (sum.layer->is_sum() && sum.inputs.size() == 2) {
      int later = sum.inputs[0], earlier = sum.inputs[1];
      if (producer[static_cast<size_t>(later)] < producer[static_cast<size_t>(earlier)]) {
        std::swap(later, earlier);
      }
      const std::string name = sum.name;
      if (shapes.equal(later, earlier) && (add_to(later, earlier) || add_to(earlier, later))) {
        fused.push_back(fmt::format("{} into {}", name, sum.name));
      }
    }
    for (const int value : sum.outputs) producer[static_cast<size_t>(value)] = static_cast<int>(i);
  }
  std::erase_if(graph.nodes, [](const Node& node) { return node.layer == nullptr; });
  return fused;
}

std::vector<std::string> fuse_elementwise(Graph& graph) {
  const std::vector<int> readers = count_readers(graph);
  const ShapeProbes shapes(graph);
  std::vector<int> producer(graph.values.size(), -1);         // index into nodes
  std::vector<std::vector<Node>> chains(graph.nodes.size());  // that end in each elementwise node
  std::vector<std::string> fused;
  const auto is_private = [&](int value, const Node& node) {
    return std::count(node.inputs.begin(), node.inputs.end(), value) ==
           readers[static_cast<size_t>(value)];
  };
  const auto take_in = [&](Node& before, std::vector<Node>& earlier, std::vector<Node>& chain) {
    std::vector<Node> joined = earlier;
    joined.insert(joined.end(), chain.begin(), chain.end());
    if (earlier.empty() || !ElementwiseChain::can_join(joined)) return;
    fused.push_back(fmt::format("{} into {}", before.name, chain.back().name));
    chain = std::move(joined);
    earlier.clear();
    before.layer = nullptr;
  };
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (const int value : node.outputs) producer[static_cast<size_t>(value)] = static_cast<int>(i);
    if (!is_link(graph, node)) continue;
    chains[i] = {node};
    for (const int value : std::set<int>(node.inputs.begin(), node.inputs.end())) {
      const int before = producer[static_cast<size_t>(value)];
      if (before < 0 || !is_private(value, node) || !shapes.equal(value, node.outputs[0])) continue;
      const auto at = static_cast<size_t>(before);
      take_in(graph.nodes[at], chains[at], chains[i]);
    }
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (chains[i].size() > 1) graph.nodes[i] = join(std::move(chains[i]));
  }
  std::erase_if(graph.nodes, [](const Node& node) { return node.layer == nullptr; });
  return fused;
}

}  // namespace engine
