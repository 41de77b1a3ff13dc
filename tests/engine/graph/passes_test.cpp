#include "engine/graph/passes.h"

#include <doctest/doctest.h>

#include "engine/engine_state.h"
#include "tests/support/models.h"

namespace engine {
namespace {

// Runs a model with and without fusing on the same input; expects these layers to be fused, and
// the results to agree to rounding.
void check_fusing(const std::string& layers, const std::vector<std::string>& expected) {
  const std::string yaml =
      "format: 1\ninputs: {x: {shape: [batch, 6, length]}}\nlayers:\n" + layers;
  EngineOptions plain = test::on_cpu();
  plain.fuse = false;
  const Engine fused = test::engine_from_text(yaml, test::on_cpu());
  const Engine unfused = test::engine_from_text(yaml, plain);
  CHECK(fused.state()->fused_layers == expected);
  CHECK(unfused.state()->fused_layers.empty());
  const Tensor input = test::random_tensor({2, 6, 50}, 3);
  const Tensor a = fused.run({input}).front();
  const Tensor b = unfused.run({input}).front();
  CHECK(test::max_difference(a, b) < 1e-5);
}

}  // namespace

TEST_CASE("batch norm and activation fold into the convolution before them") {
  check_fusing(
      "  - {name: c, type: Conv1d, out_channels: 5, kernel_size: 3, groups: 1}\n"
      "  - {name: n, type: BatchNorm1d}\n"
      "  - {name: r, type: GELU}\n",
      {"n into c", "r into c"});
}

TEST_CASE("batch norm folds into grouped and transposed convolutions") {
  check_fusing(
      "  - {name: c, type: Conv1d, out_channels: 4, kernel_size: 3, groups: 2, bias: false}\n"
      "  - {name: n, type: BatchNorm1d}\n"
      "  - {name: t, type: ConvTranspose1d, out_channels: 6, kernel_size: 4, stride: 2, groups: "
      "2}\n"
      "  - {name: m, type: BatchNorm1d}\n"
      "  - {name: r, type: ReLU}\n",
      {"n into c", "m into t", "r into t"});
}

TEST_CASE("a layer that something else reads too is left alone") {
  check_fusing(
      "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 1}\n"
      "  - {name: r, type: ReLU}\n"
      "  - {name: a, type: Add, inputs: [c, r]}\n",
      {});
}

TEST_CASE("a layer that is an output itself is left alone") {
  const std::string yaml =
      "format: 1\ninputs: {x: {shape: [batch, 6, length]}}\nlayers:\n"
      "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 1}\n"
      "  - {name: r, type: ReLU}\noutputs: {a: c, b: r}\n";
  CHECK(test::engine_from_text(yaml, test::on_cpu()).state()->fused_layers.empty());
}

TEST_CASE("a batch norm behind an activation stays") {
  check_fusing(
      "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 1}\n"
      "  - {name: r, type: ReLU}\n"
      "  - {name: n, type: BatchNorm1d}\n",
      {"r into c"});
}

TEST_CASE("a batch norm over another dimension than Linear's features stays") {
  check_fusing(
      "  - {name: l, type: Linear, out_features: 6}\n"
      "  - {name: n, type: BatchNorm1d}\n",
      {});
}

}  // namespace engine
