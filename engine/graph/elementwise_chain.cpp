#include "engine/graph/elementwise_chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "engine/cpu/elementwise_step.h"
#include "engine/error.h"

namespace engine {
namespace {

// A tile of what one node leaves for another: 16 KB, of which mostly two are in use.
constexpr int64_t kTileFloats = 4096;
constexpr size_t kMostTiles = 4;
constexpr size_t kMostInputs = 8;  // of a node

// Which tile each node but the last leaves its value in, until the node that reads it has run. None
// computes in place.
std::vector<size_t> assign_tiles(const std::vector<Node>& nodes) {
  constexpr int kNone = -1;
  std::vector<size_t> tiles;
  std::vector<int> held;  // the value in each tile
  for (size_t i = 0; i + 1 < nodes.size(); ++i) {
    auto tile = std::find(held.begin(), held.end(), kNone);
    if (tile == held.end()) tile = held.insert(tile, kNone);
    *tile = nodes[i].outputs[0];
    tiles.push_back(static_cast<size_t>(tile - held.begin()));
    for (const int value : nodes[i].inputs) std::replace(held.begin(), held.end(), value, kNone);
  }
  return tiles;
}

// Where a node's input comes from: the chain's inputs, or a tile.
struct Source {
  bool is_tile;
  size_t index;
};

// A node made ready. The last one writes the chain's output, in place of a tile.
struct Link {
  Step step;
  std::vector<Source> sources;
  size_t tile;
  bool is_last;
};

// The address of an array whose element `begin` is the tile's first.
float* around(float* tile, int64_t begin) {
  return reinterpret_cast<float*>(reinterpret_cast<uintptr_t>(tile) -
                                  static_cast<uintptr_t>(begin) * sizeof(float));
}

// Elements [begin, end) of the output, at most kTileFloats.
void run_tile(const std::vector<Link>& links, const StepContext& c, int64_t begin, int64_t end) {
  alignas(64) float tiles[kMostTiles][kTileFloats];
  for (const Link& link : links) {
    const void* inputs[kMostInputs];
    for (size_t k = 0; k < link.sources.size(); ++k) {
      const Source& source = link.sources[k];
      inputs[k] = source.is_tile ? around(tiles[source.index], begin) : c.inputs[source.index];
    }
    void* output = link.is_last ? c.outputs[0] : around(tiles[link.tile], begin);
    StepContext context = c;
    context.inputs = inputs;
    context.outputs = &output;
    link.step.range(context, begin, end);
  }
}

size_t index_of(const std::vector<int>& values, int value) {
  return static_cast<size_t>(std::find(values.begin(), values.end(), value) - values.begin());
}

// Step::overwrites: an input of the output's shape that the last node does not read, or may
// overwrite itself.
int overwritten_input(const std::vector<Link>& links, const PrepareContext& context) {
  const Link& last = links.back();
  for (size_t i = 0; i < context.inputs.size(); ++i) {
    bool allowed = context.inputs[i].shape == context.outputs[0].shape;
    for (size_t k = 0; k < last.sources.size(); ++k) {
      const Source& source = last.sources[k];
      if (source.is_tile || source.index != i) continue;
      allowed = allowed && static_cast<int>(k) == last.step.overwrites;
    }
    if (allowed) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

ElementwiseChain::ElementwiseChain(std::vector<Node> nodes)
    : nodes_(std::move(nodes)), inputs_(inputs_of(nodes_)) {
  std::map<std::string, Tensor> parameters;
  for (const Node& node : nodes_) {
    for (const auto& [name, tensor] : node.layer->loaded_parameters()) {
      parameters[fmt::format("{}.{}", node.name, name)] = tensor;
    }
  }
  set_parameters(std::move(parameters));
}

std::vector<int> ElementwiseChain::inputs_of(const std::vector<Node>& nodes) {
  std::vector<int> given, inputs;
  for (const Node& node : nodes) {
    for (const int value : node.inputs) {
      if (index_of(given, value) == given.size() && index_of(inputs, value) == inputs.size()) {
        inputs.push_back(value);
      }
    }
    given.push_back(node.outputs[0]);
  }
  return inputs;
}

bool ElementwiseChain::can_join(const std::vector<Node>& nodes) {
  const std::vector<size_t> tiles = assign_tiles(nodes);
  return std::all_of(tiles.begin(), tiles.end(), [](size_t tile) { return tile < kMostTiles; }) &&
         std::all_of(nodes.begin(), nodes.end(),
                     [](const Node& node) { return node.inputs.size() <= kMostInputs; });
}

// What every node reads and gives.
std::vector<ElementwiseChain::Specs> ElementwiseChain::infer_nodes(
    const std::vector<TensorSpec>& inputs) const {
  std::map<int, TensorSpec> values;
  for (size_t i = 0; i < inputs.size(); ++i) values[inputs_[i]] = inputs[i];
  std::vector<Specs> specs;
  for (const Node& node : nodes_) {
    Specs& own = specs.emplace_back();
    for (const int value : node.inputs) own.inputs.push_back(values.at(value));
    own.outputs = node.layer->infer(own.inputs);
    values[node.outputs[0]] = own.outputs[0];
  }
  return specs;
}

std::vector<TensorSpec> ElementwiseChain::infer(const std::vector<TensorSpec>& inputs) const {
  expect_inputs(inputs, inputs_.size());
  return infer_nodes(inputs).back().outputs;
}

Step ElementwiseChain::prepare(const PrepareContext& context) const {
  const std::vector<Specs> specs = infer_nodes(context.inputs);
  const std::vector<size_t> tiles = assign_tiles(nodes_);
  auto links = std::make_shared<std::vector<Link>>();
  std::map<int, Source> sources;
  for (size_t i = 0; i < inputs_.size(); ++i) sources[inputs_[i]] = {false, i};
  double seconds = 0.0;
  std::string names;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    PrepareContext own = context;
    own.inputs = specs[i].inputs;
    own.outputs = specs[i].outputs;
    own.layer = node.layer.get();
    const bool is_last = i + 1 == nodes_.size();
    Link link{node.layer->prepare(own), {}, is_last ? 0 : tiles[i], is_last};
    if (!link.step.range) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("layer '{}' ({}) is elementwise, but its step has no range; make it "
                              "by elementwise_step()",
                              node.name, node.type));
    }
    for (const int value : node.inputs) link.sources.push_back(sources.at(value));
    sources[node.outputs[0]] = {true, link.tile};
    seconds += link.step.seconds;
    names += (i == 0 ? "" : ", ") + node.name;
    links->push_back(std::move(link));
  }
  Step step =
      cpu::elementwise_step("elementwise_chain_cpu", context.outputs[0].elements(), seconds,
                            overwritten_input(*links, context),
                            [links = std::shared_ptr<const std::vector<Link>>(links)](
                                const StepContext& c, int64_t begin, int64_t end) {
                              for (int64_t tile = begin; tile < end; tile += kTileFloats) {
                                run_tile(*links, c, tile, std::min(end, tile + kTileFloats));
                              }
                            });
  step.reason = fmt::format("{} in one pass", names);
  return step;
}

int64_t ElementwiseChain::flops(const std::vector<TensorSpec>& inputs,
                                const std::vector<TensorSpec>&) const {
  const std::vector<Specs> specs = infer_nodes(inputs);
  int64_t flops = 0;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    flops += nodes_[i].layer->flops(specs[i].inputs, specs[i].outputs);
  }
  return flops;
}

std::optional<Reach> ElementwiseChain::reach() const {
  const bool along_length = std::all_of(nodes_.begin(), nodes_.end(),
                                        [](const Node& node) { return node.layer->reach(); });
  return along_length ? std::optional(Reach{}) : std::nullopt;
}

}  // namespace engine
