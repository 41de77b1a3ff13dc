#include "engine/graph/passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

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

}  // namespace engine
