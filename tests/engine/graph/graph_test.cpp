#include "engine/graph/graph.h"

#include <doctest/doctest.h>

#include "engine/graph/passes.h"
#include "tests/support/models.h"

namespace engine {
namespace {

Graph graph_from(const std::string& yaml) {
  return build_graph(parse_model(yaml, "test.yaml"), LayerRegistry::global());
}

std::string build_error(const std::string& yaml) {
  return test::error_text([&] { graph_from(yaml); });
}

constexpr const char* kHead = "format: 1\ninputs: {x: {shape: [batch, 2, length]}}\n";

}  // namespace

TEST_CASE("layers may be written in any order and run in the order of their inputs") {
  const Graph graph = graph_from(std::string(kHead) +
                                 "layers:\n"
                                 "  - {name: last, type: ReLU, inputs: first}\n"
                                 "  - {name: first, type: Tanh, inputs: x}\n"
                                 "outputs: {y: last}\n");
  REQUIRE(graph.nodes.size() == 2);
  CHECK(graph.nodes[0].name == "first");
  CHECK(graph.nodes[1].name == "last");
}

TEST_CASE("named sizes without typical values take the largest the model can") {
  const Graph graph = graph_from(std::string(kHead) + "layers:\n  - {name: a, type: ReLU}\n");
  CHECK(graph.values[0].typical.shape == Shape{1, 2, 65536});
}

TEST_CASE("the sample rate makes one second the typical length") {
  const Graph graph = graph_from(
      "format: 1\ninputs: {x: {shape: [n, 1, length], sample_rate: 8000}}\n"
      "layers:\n  - {name: a, type: ReLU}\n");
  CHECK(graph.values[0].typical.shape == Shape{1, 1, 8000});
}

TEST_CASE("typical sizes of the model file come first") {
  const Graph graph = graph_from(std::string(kHead) +
                                 "sizes: {batch: 3, length: 77}\nlayers:\n"
                                 "  - {name: a, type: ReLU}\n");
  CHECK(graph.values[0].typical.shape == Shape{3, 2, 77});
}

TEST_CASE("an unknown layer type is named with its place and the nearest known one") {
  const std::string text =
      build_error(std::string(kHead) + "layers:\n  - {name: a, type: Conv1D, out_channels: 1}\n");
  CHECK(text.find("test.yaml:4:") == 0);
  CHECK(text.find("unknown layer type 'Conv1D'; did you mean 'Conv1d'?") != std::string::npos);
}

TEST_CASE("a layer that cannot take its input is named with its place") {
  const std::string text = build_error(
      std::string(kHead) +
      "layers:\n  - {name: c, type: Conv1d, in_channels: 3, out_channels: 1, kernel_size: 1}\n");
  CHECK(text.find("test.yaml:4:") == 0);
  CHECK(text.find("layer 'c' (Conv1d):") != std::string::npos);
}

TEST_CASE("a further output that the layer does not have is an error") {
  const std::string text = build_error(std::string(kHead) +
                                       "layers:\n  - {name: a, type: ReLU}\n"
                                       "  - {name: b, type: ReLU, inputs: 'a:1'}\n");
  CHECK(text.find("layer 'a' has no output 'a:1'") != std::string::npos);
}

TEST_CASE("every output of a layer with several can be used") {
  const Graph graph = graph_from(std::string(kHead) +
                                 "layers:\n  - {name: s, type: Split, parts: 2}\n"
                                 "  - {name: m, type: Mul, inputs: [s, 's:1']}\n");
  REQUIRE(graph.nodes.size() == 2);
  CHECK(graph.nodes[1].inputs == graph.nodes[0].outputs);
}

TEST_CASE("a missing parameter is named with the nearest tensor") {
  Graph graph =
      graph_from(std::string(kHead) +
                 "layers:\n  - {name: c, type: Conv1d, out_channels: 1, kernel_size: 1}\n");
  std::map<std::string, Tensor> tensors{{"c.weigth", Tensor::zeros({1, 2, 1})}};
  const WeightFile weights = WeightFile::from_tensors("w.safetensors", tensors);
  const std::string text = test::error_text([&] { load_parameters(graph, weights); });
  CHECK(text.find("tensor 'c.weight' of shape [1, 2, 1] is not in w.safetensors; did you mean "
                  "'c.weigth'?") != std::string::npos);
}

TEST_CASE("a parameter of another shape is an error that names both shapes") {
  Graph graph = graph_from(std::string(kHead) +
                           "layers:\n  - {name: c, type: Conv1d, out_channels: 1, kernel_size: 1, "
                           "bias: false}\n");
  std::map<std::string, Tensor> tensors{{"c.weight", Tensor::zeros({1, 3, 1})}};
  const WeightFile weights = WeightFile::from_tensors("w.safetensors", tensors);
  const std::string text = test::error_text([&] { load_parameters(graph, weights); });
  CHECK(text.find("has shape [1, 3, 1], expected [1, 2, 1]") != std::string::npos);
}

TEST_CASE("random parameters depend on the seed alone") {
  const Graph graph =
      graph_from(std::string(kHead) +
                 "layers:\n  - {name: c, type: Conv1d, out_channels: 8, kernel_size: 3}\n");
  const auto first = random_parameters(graph, 7);
  const auto again = random_parameters(graph, 7);
  const auto other = random_parameters(graph, 8);
  CHECK(test::max_difference(first.at("c.weight"), again.at("c.weight")) == 0.0);
  CHECK(test::max_difference(first.at("c.weight"), other.at("c.weight")) > 0.0);
  // PyTorch's bound for 2 channels and 3 taps: 1 / sqrt(6).
  CHECK(test::max_difference(first.at("c.weight"), Tensor::zeros({8, 2, 3})) <= 0.40825);
}

TEST_CASE("dead layers are removed and reported") {
  Graph graph = graph_from(std::string(kHead) +
                           "layers:\n  - {name: used, type: ReLU}\n"
                           "  - {name: dead1, type: Tanh}\n"
                           "  - {name: dead2, type: Tanh}\noutputs: {y: used}\n");
  CHECK(remove_dead_layers(graph) == std::vector<std::string>{"dead1", "dead2"});
  CHECK(graph.nodes.size() == 1);
}

}  // namespace engine
