#include <doctest/doctest.h>

#include <filesystem>

#include "engine/model/model_spec.h"
#include "tests/support/expect_error.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace engine {
namespace {

// A model of one line for each key: keys can be replaced or added, and lines keep their numbers.
struct ModelText {
  std::string format = "format: 1";
  std::string inputs = "inputs: {x: {shape: [batch, 1, length]}}";
  std::string layers = "layers: [{name: stem, type: Conv1d}, {name: act, type: ReLU}]";
  std::string rest = "";

  std::string text() const { return format + "\n" + inputs + "\n" + layers + "\n" + rest + "\n"; }
};

ModelSpec parse(const ModelText& model) { return parse_model(model.text(), "m/a.yaml"); }

void expect_model_error(const ModelText& model, const std::string& message) {
  CAPTURE(model.text());
  test::expect_error([&] { parse(model); }, ErrorKind::kModel, message);
}

void expect_layers_error(const std::string& layers, const std::string& message) {
  expect_model_error({.layers = "layers: " + layers}, message);
}

std::vector<std::string> names_of(const std::vector<LayerSpec>& layers) {
  std::vector<std::string> names;
  for (const LayerSpec& layer : layers) names.push_back(layer.name);
  return names;
}

TEST_CASE("model: every key") {
  const ModelSpec spec = parse_model(
      "format: 1\n"
      "name: keywords\n"
      "weights: ../weights/keywords.safetensors\n"
      "inputs:\n"
      "  waveform: {dtype: f16, shape: [batch, 1, length], sample_rate: 8000}\n"
      "  ids: {dtype: i64, shape: [batch, 5]}\n"
      "sizes: {batch: 2, length: 16000}\n"
      "layers:\n"
      "  - {name: stem, type: Conv1d, inputs: waveform, kernel_size: 80}\n"
      "  - {name: stem.norm, type: BatchNorm1d}\n"
      "  - {name: skip, type: Add, inputs: [stem.norm, stem]}\n"
      "outputs: {scores: skip, raw: stem}\n"
      "labels: [yes, no, 'on', 1.0]\n",
      "graphs/a.yaml");
  CHECK(spec.name == "keywords");
  CHECK(spec.path == "graphs/a.yaml");
  CHECK(spec.weights_path == "graphs/../weights/keywords.safetensors");
  REQUIRE(spec.inputs.size() == 2);
  CHECK(spec.inputs[0].name == "waveform");
  CHECK(spec.inputs[0].dtype == DType::kF16);
  CHECK(spec.inputs[0].sample_rate == 8000.0);
  CHECK(to_string(spec.inputs[0].place) == "graphs/a.yaml:5:3");
  REQUIRE(spec.inputs[0].shape.size() == 3);
  CHECK(spec.inputs[0].shape[0].name == "batch");
  CHECK_FALSE(spec.inputs[0].shape[1].is_named());
  CHECK(spec.inputs[0].shape[1].value == 1);
  CHECK(spec.inputs[1].dtype == DType::kI64);
  CHECK_FALSE(spec.inputs[1].sample_rate);
  CHECK(spec.typical_sizes == std::map<std::string, int64_t>{{"batch", 2}, {"length", 16000}});
  CHECK(names_of(spec.layers) == std::vector<std::string>{"stem", "stem.norm", "skip"});
  CHECK(spec.layers[0].type == "Conv1d");
  CHECK(spec.layers[0].inputs[0].name == "waveform");
  CHECK(spec.layers[0].attributes.layer() == "stem");
  CHECK(spec.layers[0].attributes.positive("kernel_size") == 80);
  CHECK_NOTHROW(spec.layers[0].attributes.reject_unused());
  CHECK(to_string(spec.layers[0].place) == "graphs/a.yaml:9:5");
  CHECK(spec.layers[1].inputs[0].name == "stem");
  CHECK(spec.layers[2].inputs[1].name == "stem");
  CHECK(to_string(spec.layers[2].inputs[1].place) == "graphs/a.yaml:11:49");
  REQUIRE(spec.outputs.size() == 2);
  CHECK(spec.outputs[0].name == "scores");
  CHECK(spec.outputs[0].value.name == "skip");
  CHECK(spec.outputs[1].value.name == "stem");
  CHECK(spec.labels == std::vector<std::string>{"yes", "no", "on", "1.0"});
}

TEST_CASE("model: what may be left out") {
  const ModelSpec spec = parse({});
  CHECK(spec.name == "a");
  CHECK(spec.weights_path.empty());
  CHECK(spec.inputs[0].dtype == DType::kF32);
  CHECK(spec.typical_sizes.empty());
  CHECK(spec.layers[0].inputs[0].name == "x");
  REQUIRE(spec.outputs.size() == 1);
  CHECK(spec.outputs[0].name == "output");
  CHECK(spec.outputs[0].value.name == "act");
  CHECK(spec.labels.empty());
}

TEST_CASE("model: an absolute path of weights stays as it is") {
  CHECK(parse({.rest = "weights: /data/w.safetensors"}).weights_path == "/data/w.safetensors");
}

TEST_CASE("model: layers come in an order that can run") {
  const ModelSpec spec = parse({.layers = "layers:\n"
                                          "- {name: d, type: Add, inputs: [b, c]}\n"
                                          "- {name: a, type: Split, inputs: x, parts: 2}\n"
                                          "- {name: b, type: ReLU, inputs: 'a:1'}\n"
                                          "- {name: c, type: ReLU, inputs: 'a:0'}"});
  CHECK(names_of(spec.layers) == std::vector<std::string>{"a", "b", "c", "d"});
  CHECK(spec.layers[1].inputs[0].name == "a:1");
  CHECK(spec.layers[2].inputs[0].name == "a");
  CHECK(spec.outputs[0].value.name == "c");  // the last of the file
}

TEST_CASE("model: a value may be read twice by one layer") {
  const ModelSpec spec = parse({.layers = "layers: [{name: a, type: Mul, inputs: [x, x]},"
                                          "{name: b, type: Mul, inputs: [a, a]}]"});
  CHECK(names_of(spec.layers) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("model: a long chain of layers against file order") {
  std::string layers = "layers:\n";
  for (int i = 5000; i > 0; --i) {
    layers += "- {name: l" + std::to_string(i) + ", type: ReLU, inputs: l" + std::to_string(i - 1) +
              "}\n";
  }
  layers += "- {name: l0, type: ReLU, inputs: x}";
  const ModelSpec spec = parse({.layers = layers});
  CHECK(spec.layers.front().name == "l0");
  CHECK(spec.layers.back().name == "l5000");
}

TEST_CASE("model: error messages of the whole file") {
  const auto expect = [](const std::string& text, const std::string& message) {
    test::expect_error([&] { parse_model(text, "a.yaml"); }, ErrorKind::kModel, message);
  };
  expect("",
         "a.yaml: not a YAML map: found nothing; expected the keys format, name, weights, "
         "inputs, sizes, layers, outputs, labels");
  expect("RIFF audio",
         "a.yaml: not a YAML map: found the text 'RIFF audio'; expected the keys "
         "format, name, weights, inputs, sizes, layers, outputs, labels");
  expect("name: a", "a.yaml:1:1: missing key 'format'");
  expect("fromat: 1", "a.yaml:1:1: missing key 'format', found 'fromat'; did you mean 'format'?");
  expect("format: 2", "a.yaml:1:9: 'format' must be 1, found the number 2");
  expect("format: 1\nlayer: []",
         "a.yaml:2:1: unknown key 'layer'; did you mean 'layers'?; known keys: format, name, "
         "weights, inputs, sizes, layers, outputs, labels");
  expect("format: 1", "a.yaml:1:1: missing key 'inputs'");
  expect("format: 1\ninputs: {x: {shape: [1]}}", "a.yaml:1:1: missing key 'layers'");
}

TEST_CASE("model: error messages of name, weights and labels") {
  expect_model_error({.rest = "name: [a]"}, "m/a.yaml:4:7: 'name' must be a text, found a list");
  expect_model_error({.rest = "name: ''"}, "m/a.yaml:4:7: 'name' must not be empty");
  expect_model_error({.rest = "weights: {a: b}"},
                     "m/a.yaml:4:10: 'weights' must be a text, found a map");
  expect_model_error({.rest = "labels: yes"},
                     "m/a.yaml:4:9: 'labels' must be a list of texts, found the boolean yes");
  expect_model_error({.rest = "labels: [a, ~]"},
                     "m/a.yaml:4:13: a label must be a text, found nothing");
  expect_model_error({.rest = "labels: [\"a\\eb\"]"},
                     "m/a.yaml:4:10: a label must have no control characters, found 'a\\x1bb'");
}

TEST_CASE("model: error messages of inputs") {
  const auto expect = [](const std::string& inputs, const std::string& message) {
    expect_model_error({.inputs = "inputs: " + inputs}, message);
  };
  expect("[x]", "m/a.yaml:2:9: 'inputs' must be a map from names to dtype and shape, found a list");
  expect("{}", "m/a.yaml:2:9: 'inputs' must have at least one input");
  expect("{x: [1, 2]}",
         "m/a.yaml:2:13: input 'x' must be a map with dtype and shape, found a list");
  expect("{'': {shape: [1]}}", "m/a.yaml:2:10: the name of an input must not be empty");
  expect("{'a:1': {shape: [1]}}",
         "m/a.yaml:2:10: the name of an input must have no colon, found 'a:1'");
  expect("{x: {dtype: f32}}", "m/a.yaml:2:13: input 'x': missing key 'shape'");
  expect("{x: {shape: [1], rate: 3}}",
         "m/a.yaml:2:26: input 'x': unknown key 'rate'; known keys: dtype, shape, sample_rate");
  expect("{x: {dtype: f23, shape: [1]}}",
         "m/a.yaml:2:21: unknown dtype 'f23'; did you mean 'f32'?; known dtypes: f32, f16, bf16, "
         "i32, i64");
  expect("{x: {dtype: bf61, shape: [1]}}",
         "m/a.yaml:2:21: unknown dtype 'bf61'; did you mean 'bf16'?; known dtypes: f32, f16, bf16, "
         "i32, i64");
  expect("{x: {shape: 3}}",
         "m/a.yaml:2:21: 'shape' must be a list of sizes and names, found the number 3");
  expect("{x: {shape: []}}", "m/a.yaml:2:21: 'shape' must have at least one size");
  expect("{x: {shape: [1, -1]}}",
         "m/a.yaml:2:25: a size in 'shape' must be at least 1, found -1; one that varies has a "
         "name, such as length");
  expect(
      "{x: {shape: [0]}}",
      "m/a.yaml:2:22: a size in 'shape' must be at least 1, found 0; one that varies has a name, "
      "such as length");
  expect("{x: {shape: [1.5]}}",
         "m/a.yaml:2:22: a size in 'shape' must be an integer or a name such as length, found the "
         "number 1.5");
  expect("{x: {shape: [2 * length]}}",
         "m/a.yaml:2:22: a size in 'shape' must be an integer or a name such as length, found the "
         "text '2 * length'");
  expect("{x: {shape: [[1]]}}",
         "m/a.yaml:2:22: a size in 'shape' must be an integer or a name such as length, found a "
         "list");
  expect("{x: {shape: [4000000000, 4000000000]}}",
         "m/a.yaml:2:10: input 'x': shape [4000000000, 4000000000] has too many elements");
  for (const char* rate : {"0", "-8000", "1e13", "1e999", "fast"}) {
    CHECK_THROWS_AS(
        parse({.inputs = std::string("inputs: {x: {shape: [1], sample_rate: ") + rate + "}}"}),
        Error);
  }
  expect("{x: {shape: [1], sample_rate: 0}}",
         "m/a.yaml:2:39: 'sample_rate' must be a positive number of Hz, at most 1e12, found the "
         "number 0");
}

TEST_CASE("model: error messages of sizes") {
  expect_model_error({.rest = "sizes: [1]"},
                     "m/a.yaml:4:8: 'sizes' must be a map from names to typical sizes, found a "
                     "list");
  expect_model_error({.rest = "sizes: {lenght: 1}"},
                     "m/a.yaml:4:9: no input has a size 'lenght'; did you mean 'length'?");
  expect_model_error({.rest = "sizes: {length: long}"},
                     "m/a.yaml:4:17: 'length' must be an integer, found the text 'long'");
  expect_model_error({.rest = "sizes: {length: 0}"},
                     "m/a.yaml:4:17: 'length' must be at least 1, found 0");
  expect_model_error({.rest = "sizes: {length: 4000000000, batch: 4000000000}"},
                     "m/a.yaml:2:10: input 'x': shape [4000000000, 1, 4000000000] has too many "
                     "elements");
}

TEST_CASE("model: error messages of layers") {
  expect_layers_error("{a: b}", "m/a.yaml:3:9: 'layers' must be a list of maps, found a map");
  expect_layers_error("[]", "m/a.yaml:3:9: 'layers' must have at least one layer");
  expect_layers_error("[ReLU]",
                      "m/a.yaml:3:10: a layer must be a map with name and type, found the text "
                      "'ReLU'");
  expect_layers_error("[{type: ReLU}]", "m/a.yaml:3:10: a layer: missing key 'name'");
  expect_layers_error("[{nmae: a, type: ReLU}]",
                      "m/a.yaml:3:11: a layer: missing key 'name', found 'nmae'; did you mean "
                      "'name'?");
  expect_layers_error("[{name: a}]", "m/a.yaml:3:10: layer 'a': missing key 'type'");
  expect_layers_error("[{name: a, type: [b]}]",
                      "m/a.yaml:3:26: 'type' must be a text, found a list");
  expect_layers_error("[{name: 'a:1', type: ReLU}]",
                      "m/a.yaml:3:17: the name of a layer must have no colon, found 'a:1'");
  expect_layers_error("[{name: \"a\\nb\", type: ReLU}]",
                      "m/a.yaml:3:17: the name of a layer must have no control characters, found "
                      "'a\\nb'");
  expect_layers_error("[{name: a, type: ReLU}, {name: a, type: Tanh}]",
                      "m/a.yaml:3:40: layer 'a': the name is given twice; it stands in line 3 "
                      "already");
  expect_layers_error("[{name: x, type: ReLU}]",
                      "m/a.yaml:3:17: layer 'x': the name is given twice; it stands in line 2 "
                      "already");
}

TEST_CASE("model: error messages of a layer's inputs") {
  expect_layers_error("[{name: a, type: ReLU, inputs: []}]",
                      "m/a.yaml:3:40: layer 'a': 'inputs' must have at least one name");
  expect_layers_error("[{name: a, type: ReLU, inputs: {b: c}}]",
                      "m/a.yaml:3:40: layer 'a': the name of a value must be a text, found a map");
  expect_layers_error("[{name: act1, type: ReLU}, {name: b, type: Add, inputs: [x, atc1]}]",
                      "m/a.yaml:3:69: layer 'b': no input or layer is called 'atc1'; did you mean "
                      "'act1'?");
  expect_layers_error("[{name: a, type: Split}, {name: b, type: ReLU, inputs: 'a:x'}]",
                      "m/a.yaml:3:64: layer 'b': 'a:x' must end in the number of an output, as in "
                      "'a:1'");
  for (const char* reference : {"a:", "a:-1", "a:1:2", "a:+1", "a:99999999999", "a: 1"}) {
    CHECK_THROWS_AS(
        parse({.layers = std::string("layers: [{name: a, type: Split}, {name: b, type: ReLU, "
                                     "inputs: '") +
                         reference + "'}]"}),
        Error);
  }
  expect_layers_error("[{name: a, type: ReLU, inputs: 'x:1'}]",
                      "m/a.yaml:3:40: layer 'a': 'x' is an input of the model, which has no "
                      "further outputs; found 'x:1'");
  expect_model_error({.inputs = "inputs: {x: {shape: [1]}, y: {shape: [1]}}"},
                     "m/a.yaml:3:10: layer 'stem': missing key 'inputs'; the first layer of a "
                     "model with 2 inputs must say which it reads");
}

TEST_CASE("model: error messages of cycles") {
  expect_layers_error("[{name: a, type: ReLU, inputs: a}]",
                      "m/a.yaml:3:10: layers form a cycle: 'a' -> 'a'; a layer cannot read what is "
                      "computed from its own output");
  expect_layers_error(
      "[{name: in, type: ReLU}, {name: a, type: Add, inputs: [in, c]}, {name: b, type: ReLU},"
      " {name: c, type: ReLU}, {name: out, type: ReLU}]",
      "m/a.yaml:3:34: layers form a cycle: 'a' -> 'b' -> 'c' -> 'a'; a layer cannot read what is "
      "computed from its own output");
}

TEST_CASE("model: error messages of outputs") {
  expect_model_error({.rest = "outputs: [act]"},
                     "m/a.yaml:4:10: 'outputs' must be a map from names to values, found a list");
  expect_model_error({.rest = "outputs: {}"},
                     "m/a.yaml:4:10: 'outputs' must have at least one output");
  expect_model_error({.rest = "outputs: {y: atc}"},
                     "m/a.yaml:4:14: output 'y': no input or layer is called 'atc'; did you mean "
                     "'act'?");
  expect_model_error({.rest = "outputs: {y: [act]}"},
                     "m/a.yaml:4:14: output 'y': the name of a value must be a text, found a list");
}

TEST_CASE("model: reading a file") {
  const test::TemporaryFolder folder;
  const std::string path =
      folder.write("two.yaml", ModelText{.rest = "weights: two.safetensors"}.text());
  const ModelSpec spec = read_model(path);
  CHECK(spec.name == "two");
  CHECK(spec.weights_path == folder.file("two.safetensors"));
  test::expect_error([&] { read_model("no/such.yaml"); }, ErrorKind::kIo,
                     "no/such.yaml: cannot read the file: No such file or directory");
  test::expect_error([&] { read_model("/tmp"); }, ErrorKind::kIo,
                     "/tmp: cannot read the file: it is a directory");
  test::expect_error([&] { read_model("/dev/null"); }, ErrorKind::kIo,
                     "/dev/null: cannot read the file: it is not a regular file");
  std::filesystem::resize_file(path, 200'000'000);
  test::expect_error([&] { read_model(path); }, ErrorKind::kModel,
                     path + ": not a YAML map: 200000000 bytes are too many for a model file");
}

TEST_CASE("model: the models in graphs/ can be read") {
  int count = 0;
  for (const auto& file : std::filesystem::directory_iterator(test::source_path("graphs"))) {
    if (file.path().extension() != ".yaml") continue;
    CAPTURE(file.path().string());
    CHECK_NOTHROW(read_model(file.path().string()));
    ++count;
  }
  CHECK(count > 0);
}

}  // namespace
}  // namespace engine
