#include "apps/engine/receptive_field.h"

#include <doctest/doctest.h>

#include "engine/engine_state.h"
#include "tests/support/models.h"

namespace engine {
namespace {

// What the model's output sees of its input.
std::optional<int64_t> field_of_output(const EngineOptions& options) {
  const Engine engine = test::engine_from_text(
      "format: 1\ninputs: {x: {shape: [1, 2, length]}}\nlayers:\n"
      "  - {name: a, type: Conv1d, out_channels: 4, kernel_size: 3, stride: 2, padding: 1}\n"
      "  - {name: b, type: Conv1d, out_channels: 4, kernel_size: 3, padding: 1}\n"
      "  - {name: shortcut, type: Conv1d, out_channels: 4, kernel_size: 1, stride: 2, inputs: "
      "[x]}\n"
      "  - {name: sum, type: Add, inputs: [b, shortcut]}\n"
      "  - {name: c, type: Conv1d, out_channels: 4, kernel_size: 3}\n",
      options);
  const Graph& graph = engine.state()->graph;
  return cli::receptive_fields(graph).at(static_cast<size_t>(graph.outputs[0].value));
}

}  // namespace

TEST_CASE("a residual counts as it is, not through the convolution that adds it") {
  EngineOptions plain = test::on_cpu();
  plain.fuse = false;
  // a sees 3 samples, b two positions of 2 samples more, c as many again.
  CHECK(field_of_output(plain) == 11);
  CHECK(field_of_output(test::on_cpu()) == 11);
}

}  // namespace engine
