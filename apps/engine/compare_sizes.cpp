#include "apps/engine/compare_sizes.h"

#include <fmt/format.h>

#include <string>

#include "engine/engine_state.h"
#include "engine/error.h"

namespace engine::cli {
namespace {

// Some seconds for loops that nobody optimised.
constexpr int64_t kComparableFlops = 4'000'000'000;

int64_t total_flops(const Graph& graph, const std::vector<Shape>& input_shapes) {
  const std::vector<TensorSpec> specs = infer_values(graph, input_shapes);
  const auto specs_of = [&](const std::vector<int>& values) {
    std::vector<TensorSpec> found;
    for (const int value : values) found.push_back(specs[static_cast<size_t>(value)]);
    return found;
  };
  int64_t flops = 0;
  for (const Node& node : graph.nodes) {
    flops += node.layer->flops(specs_of(node.inputs), specs_of(node.outputs));
  }
  return flops;
}

// A named size that the user left open, and how small it may be made.
struct OpenSize {
  std::string name;
  int64_t smallest = 1;
};

// Batches first; two of them still show what one alone would hide.
std::vector<OpenSize> open_sizes(const Graph& graph, const Sizes& given) {
  std::vector<OpenSize> batches;
  std::vector<OpenSize> others;
  for (const GraphInput& input : graph.inputs) {
    for (size_t d = 0; d < input.spec.shape.size(); ++d) {
      const SizeSpec& size = input.spec.shape[d];
      if (!size.is_named() || given.count(size.name) > 0) continue;
      if (d == 0) {
        batches.push_back({size.name, 2});
      } else {
        others.push_back({size.name, 1});
      }
    }
  }
  batches.insert(batches.end(), others.begin(), others.end());
  return batches;
}

// The size that `name` stands for in `shapes`.
int64_t current_size(const Graph& graph, const std::vector<Shape>& shapes,
                     const std::string& name) {
  for (size_t i = 0; i < shapes.size(); ++i) {
    for (size_t d = 0; d < shapes[i].size(); ++d) {
      if (graph.inputs[i].spec.shape[d].name == name) return shapes[i][d];
    }
  }
  return 1;
}

bool can_take(const Graph& graph, const std::vector<Shape>& input_shapes) {
  try {
    infer_values(graph, input_shapes);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::vector<Shape> comparable_shapes(const Engine& engine, const Sizes& sizes,
                                     const Notify& notify) {
  const Graph& graph = engine.state()->graph;
  std::vector<Shape> shapes = input_shapes(engine, sizes);
  Sizes chosen = sizes;
  for (const OpenSize& open : open_sizes(graph, sizes)) {
    int64_t half = current_size(graph, shapes, open.name) / 2;
    for (; half >= open.smallest && total_flops(graph, shapes) > kComparableFlops; half /= 2) {
      Sizes tried = chosen;
      tried[open.name] = half;
      const std::vector<Shape> tried_shapes = input_shapes(engine, tried);
      if (!can_take(graph, tried_shapes)) break;
      chosen = tried;
      shapes = tried_shapes;
    }
  }
  if (chosen != sizes) {
    std::string text;
    for (const auto& [name, size] : chosen) text += fmt::format(" --size {}={}", name, size);
    notify("compared at smaller sizes, for the reference is slow:" + text);
  }
  return shapes;
}

}  // namespace engine::cli
