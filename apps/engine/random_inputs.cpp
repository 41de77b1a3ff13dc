#include "apps/engine/random_inputs.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace engine::cli {
namespace {

// The integers that input `value` may hold are below this.
int64_t integer_bound(const Graph& graph, int value) {
  int64_t bound = INT64_MAX;
  for (const Node& node : graph.nodes) {
    const bool reads =
        std::find(node.inputs.begin(), node.inputs.end(), value) != node.inputs.end();
    if (!reads || node.type != "Embedding") continue;
    bound = std::min(bound, node.layer->parameter("weight").size(0));
  }
  constexpr int64_t kBoundWithoutEmbedding = 2;
  return bound == INT64_MAX ? kBoundWithoutEmbedding : bound;
}

// Not std::uniform_real_distribution, whose numbers differ between standard libraries.
float uniform(std::mt19937_64& generator) {
  const double in_unit_interval = static_cast<double>(generator() >> 11) * 0x1p-53;
  return static_cast<float>((2.0 * in_unit_interval - 1.0) * std::sqrt(3.0));
}

Tensor random_floats(const Shape& shape, std::mt19937_64& generator) {
  Tensor tensor = Tensor::empty(shape);
  float* data = tensor.data<float>();
  std::generate_n(data, tensor.elements(), [&] { return uniform(generator); });
  return tensor;
}

Tensor random_integers(const Shape& shape, int64_t bound, std::mt19937_64& generator) {
  Tensor tensor = Tensor::empty(shape, DType::kI64);
  int64_t* data = tensor.data<int64_t>();
  std::generate_n(data, tensor.elements(),
                  [&] { return static_cast<int64_t>(generator() % static_cast<uint64_t>(bound)); });
  return tensor;
}

}  // namespace

std::vector<Tensor> random_inputs(const Graph& graph, const std::vector<Shape>& shapes,
                                  uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const GraphInput& input = graph.inputs[i];
    const Tensor tensor =
        is_floating(input.spec.dtype)
            ? random_floats(shapes[i], generator)
            : random_integers(shapes[i], integer_bound(graph, input.value), generator);
    inputs.push_back(tensor.to(input.spec.dtype));
  }
  return inputs;
}

}  // namespace engine::cli
