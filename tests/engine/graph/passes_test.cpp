#include "engine/graph/passes.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

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
      "  - {name: s, type: Softmax, dim: 1, inputs: [c]}\n"
      "  - {name: a, type: Concat, inputs: [s, r]}\n",
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

TEST_CASE("a sum and the activations on both sides of it fuse into the convolution") {
  check_fusing(
      "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 3, padding: 1}\n"
      "  - {name: n, type: BatchNorm1d}\n"
      "  - {name: t, type: Tanh}\n"
      "  - {name: a, type: Add, inputs: [x, t]}\n"
      "  - {name: r, type: ReLU}\n",
      {"n into c", "t into c", "a into c", "r into c"});
}

TEST_CASE("a sum fuses into a transposed convolution") {
  check_fusing(
      "  - {name: c, type: Conv1d, out_channels: 4, kernel_size: 4, stride: 2, padding: 1}\n"
      "  - {name: t, type: ConvTranspose1d, out_channels: 6, kernel_size: 4, stride: 2, padding: "
      "1}\n"
      "  - {name: a, type: Add, inputs: [t, x]}\n",
      {"a into t"});
}

TEST_CASE("a convolution moves to where the sum's other input is ready") {
  check_fusing(
      "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 1}\n"
      "  - {name: m, type: Mul, inputs: [x, x]}\n"
      "  - {name: s, type: Softmax, dim: 1}\n"
      "  - {name: a, type: Add, inputs: [c, s]}\n"
      "  - {name: r, type: ReLU}\n",
      {"a into c", "r into c"});
}

TEST_CASE("of two convolutions the later one adds the sum") {
  for (const char* inputs : {"[c, d]", "[d, c]"}) {
    check_fusing(
        fmt::format("  - {{name: c, type: Conv1d, out_channels: 5, kernel_size: 1}}\n"
                    "  - {{name: d, type: Conv1d, out_channels: 5, kernel_size: 1, inputs: [x]}}\n"
                    "  - {{name: a, type: Add, inputs: {}}}\n",
                    inputs),
        {"a into d"});
  }
}

TEST_CASE("the earlier convolution adds the sum where the later one is read elsewhere too") {
  check_fusing(
      "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 1}\n"
      "  - {name: d, type: Conv1d, out_channels: 6, kernel_size: 1, inputs: [x]}\n"
      "  - {name: a, type: Add, inputs: [c, d]}\n"
      "  - {name: m, type: Mul, inputs: [a, d]}\n",
      {"a into c"});
}

TEST_CASE("residual blocks in a row fuse") {
  check_fusing(
      "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 3, padding: 1}\n"
      "  - {name: a, type: Add, inputs: [c, x]}\n"
      "  - {name: d, type: Conv1d, out_channels: 6, kernel_size: 3, padding: 1}\n"
      "  - {name: b, type: Add, inputs: [d, a]}\n",
      {"a into c", "b into d"});
}

TEST_CASE("a sum stays where a convolution cannot add it") {
  const std::string c = "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 1}\n";
  const auto check_stays = [&](const std::string& layers) { check_fusing(c + layers, {}); };
  check_stays("  - {name: a, type: Add, inputs: [c, c]}\n");
  check_stays("  - {name: a, type: Add, inputs: [c, x, x]}\n");
  check_stays("  - {name: m, type: Mul, inputs: [c, x]}\n");
  check_fusing(c + "  - {name: a, type: Add, inputs: [c, x]}\n"
                   "  - {name: m, type: Mul, inputs: [c, a]}\n",
               {"a into m"});
  // One value for each channel, or one channel for all.
  check_stays(
      "  - {name: p, type: AdaptiveAvgPool1d, output_size: 1, inputs: [x]}\n"
      "  - {name: a, type: Add, inputs: [c, p]}\n");
  check_fusing(
      "  - {name: c, type: Conv1d, out_channels: 1, kernel_size: 1}\n"
      "  - {name: a, type: Add, inputs: [c, x]}\n",
      {});
  // A convolution has room for one residual.
  check_fusing(c + "  - {name: a, type: Add, inputs: [c, x]}\n"
                   "  - {name: b, type: Add, inputs: [a, x]}\n",
               {"a into c"});
}

TEST_CASE("a sum stays where the convolution is an output itself") {
  const std::string yaml =
      "format: 1\ninputs: {x: {shape: [batch, 6, length]}}\nlayers:\n"
      "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 1}\n"
      "  - {name: a, type: Add, inputs: [c, x]}\noutputs: {c: c, a: a}\n";
  CHECK(test::engine_from_text(yaml, test::on_cpu()).state()->fused_layers.empty());
}

TEST_CASE("a sum of shapes that are equal only at the typical sizes stays") {
  const auto fused = [](const std::string& sizes, const std::string& other) {
    const std::string yaml = "format: 1\n" + sizes +
                             "inputs: {x: {shape: [batch, 6, length]}, y: {shape: " + other +
                             "}}\nlayers:\n"
                             "  - {name: c, type: Conv1d, out_channels: 6, kernel_size: 1, inputs: "
                             "[x]}\n"
                             "  - {name: a, type: Add, inputs: [c, y]}\n";
    return test::engine_from_text(yaml, test::on_cpu()).state()->fused_layers.size();
  };
  CHECK(fused("", "[batch, 6, length]") == 1);
  CHECK(fused("", "[1, 6, length]") == 0);
  CHECK(fused("sizes: {batch: 1, length: 30, other: 30}\n", "[batch, 6, other]") == 0);
  CHECK(fused("sizes: {batch: 1, length: 1}\n", "[batch, 6, 1]") == 0);
  CHECK(fused("sizes: {batch: 1, length: 30}\n", "[batch, 6, 30]") == 0);
}

TEST_CASE("elementwise layers in a row become one") {
  check_fusing(
      "  - {name: r, type: ReLU}\n"
      "  - {name: a, type: Add, inputs: [x, r]}\n"
      "  - {name: m, type: Mul, inputs: [a, a]}\n"
      "  - {name: n, type: BatchNorm1d}\n"
      "  - {name: p, type: PReLU, num_parameters: 6}\n",
      {"r into a", "a into m", "m into n", "n into p"});
}

TEST_CASE("elementwise layers on both sides of a product become one") {
  check_fusing(
      "  - {name: t, type: Tanh, inputs: [x]}\n"
      "  - {name: s, type: Softmax, dim: 1, inputs: [x]}\n"
      "  - {name: g, type: Sigmoid, inputs: [s]}\n"
      "  - {name: m, type: Mul, inputs: [t, g]}\n",
      {"t into m", "g into m"});
}

TEST_CASE("a GLU begins a chain and ends none") {
  check_fusing(
      "  - {name: t, type: Tanh}\n"
      "  - {name: g, type: GLU, dim: 1}\n"
      "  - {name: r, type: ReLU}\n",
      {"g into r"});
}

TEST_CASE("elementwise layers of different shapes stay apart") {
  check_fusing(
      "  - {name: p, type: AdaptiveAvgPool1d, output_size: 1}\n"
      "  - {name: g, type: Sigmoid}\n"
      "  - {name: m, type: Mul, inputs: [x, g]}\n",
      {});
}

TEST_CASE("an elementwise layer that is an output, or read twice, stays") {
  const auto fused = [](const std::string& outputs) {
    const std::string yaml =
        "format: 1\ninputs: {x: {shape: [batch, 6, length]}}\nlayers:\n"
        "  - {name: t, type: Tanh}\n"
        "  - {name: a, type: Add, inputs: [t, x]}\n"
        "  - {name: b, type: Mul, inputs: [t, x]}\noutputs: " +
        outputs;
    return test::engine_from_text(yaml, test::on_cpu()).state()->fused_layers;
  };
  CHECK(fused("{a: a, b: b}").empty());
  CHECK(fused("{t: t, a: a}").empty());
  CHECK(fused("{a: a}") == std::vector<std::string>{"t into a"});
}

TEST_CASE("a long chain gives the same with any number of threads") {
  const std::string yaml =
      "format: 1\ninputs: {x: {shape: [3, 6, length]}, y: {shape: [6, 1]}}\nlayers:\n"
      "  - {name: r, type: ReLU, inputs: [x]}\n"
      "  - {name: m, type: Mul, inputs: [r, y]}\n"
      "  - {name: a, type: Add, inputs: [x, m]}\n"
      "  - {name: s, type: SiLU}\n";
  EngineOptions options = test::on_cpu();
  options.fuse = false;
  const std::vector<Tensor> inputs = {test::random_tensor({3, 6, 50000}, 1),
                                      test::random_tensor({6, 1}, 2)};
  const Tensor expected = test::engine_from_text(yaml, options).run(inputs).front();
  options.fuse = true;
  for (const int threads : {1, 2, 3}) {
    options.threads = threads;
    const Engine engine = test::engine_from_text(yaml, options);
    CHECK(engine.state()->fused_layers.size() == 3);
    CHECK(test::max_difference(engine.run(inputs).front(), expected) == 0.0);
  }
}

}  // namespace engine
