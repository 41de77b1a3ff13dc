// A position that sees E positions of the value before, each S input samples after the other and
// seeing F of them itself, sees F + (E - 1) * S input samples. A position that sees several values
// sees as many as the widest of them.
#include "apps/engine/receptive_field.h"

#include <algorithm>
#include <cmath>

namespace engine::cli {
namespace {

struct Field {
  double samples = 1.0;  // of the input
  double step = 1.0;     // input samples from one position to the next
};

// What a node's outputs see; nothing where an input, or the layer itself, sees the whole signal.
std::optional<Field> field_after(const Node& node,
                                 const std::vector<std::optional<Field>>& fields) {
  const std::optional<Reach> reach = node.layer->reach();
  if (!reach) return std::nullopt;
  Field widest{0.0, 0.0};
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const std::optional<Field>& field = fields[static_cast<size_t>(node.inputs[i])];
    if (!field) return std::nullopt;
    const Reach own = i == 0 ? *reach : Reach{};
    widest.samples = std::max(widest.samples,
                              field->samples + static_cast<double>(own.extent - 1) * field->step);
    widest.step = std::max(widest.step, field->step * own.step);
  }
  return widest;
}

}  // namespace

std::vector<std::optional<int64_t>> receptive_fields(const Graph& graph) {
  std::vector<std::optional<Field>> fields(graph.values.size(), Field{});
  for (const Node& node : graph.nodes) {
    for (const int value : node.outputs) {
      fields[static_cast<size_t>(value)] = field_after(node, fields);
    }
  }
  std::vector<std::optional<int64_t>> samples;
  for (const std::optional<Field>& field : fields) {
    // Upsampling makes steps below 1; part of a sample is still one that is seen.
    samples.push_back(field ? std::optional(static_cast<int64_t>(std::ceil(field->samples)))
                            : std::nullopt);
  }
  return samples;
}

}  // namespace engine::cli
