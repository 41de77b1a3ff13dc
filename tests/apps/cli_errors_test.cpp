// Bad input gives one clear line and exit code 1, never a crash.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "engine/cuda/runtime.h"
#include "engine/model/npy.h"
#include "engine/model/weight_file.h"
#include "tests/apps/program.h"
#include "tests/support/temporary_folder.h"

using namespace engine;
using namespace engine::test;

namespace {

// A model with `layer` as its only one, and what `more` adds.
std::string model_with(const std::string& layer, const std::string& more = "") {
  return fmt::format(
      "format: 1\nname: bad\n{}inputs:\n  x: {{dtype: f32, shape: [batch, 2, length]}}\n"
      "sizes: {{batch: 1, length: 16}}\nlayers:\n  - {}\noutputs: {{y: a}}\n",
      more, layer);
}

constexpr const char* kConv = "{name: a, type: Conv1d, out_channels: 3, kernel_size: 3}";

void expect_model_failure(const std::string& yaml, const std::vector<std::string>& parts) {
  const TemporaryFolder folder;
  expect_failure("info --device cpu " + shell_quoted(folder.write("bad.yaml", yaml)), parts);
}

// Runs a convolution over 2 channels on `x`.
void expect_run_failure(const std::string& file_name, const std::string& bytes,
                        const std::vector<std::string>& parts) {
  const TemporaryFolder folder;
  expect_failure(
      fmt::format("run --device cpu '{}' --input '{}'",
                  folder.write("conv.yaml", model_with(kConv)), folder.write(file_name, bytes)),
      parts);
}

// The bytes of a .npy file.
std::string npy_bytes(const Tensor& tensor) {
  const TemporaryFolder folder;
  write_npy(folder.file("x.npy"), tensor);
  return read_bytes(folder.file("x.npy"));
}

void expect_weight_failure(const std::map<std::string, Tensor>& weights, size_t cut,
                           const std::vector<std::string>& parts) {
  const TemporaryFolder folder;
  write_weight_file(folder.file("all.safetensors"), weights);
  const std::string bytes = read_bytes(folder.file("all.safetensors"));
  folder.write("w.safetensors", bytes.substr(0, bytes.size() - cut));
  const std::string model = model_with(kConv, "weights: w.safetensors\n");
  expect_failure("info --device cpu " + shell_quoted(folder.write("bad.yaml", model)), parts);
}

}  // namespace

TEST_CASE("bad model: not there, a folder, not YAML") {
  expect_failure("info graphs/none.yaml", {"graphs/none.yaml", "No such file or directory"});
  expect_failure("info graphs", {"graphs", "directory"});
  expect_model_failure("layers: [", {"bad.yaml:"});
  expect_model_failure(std::string("\x7f"
                                   "ELF\0\1\2",
                                   7),
                       {"bad.yaml"});
  expect_model_failure("", {"bad.yaml"});
}

TEST_CASE("bad model: unknown layer, wrong type, negative size, unknown key, cycle") {
  expect_model_failure(model_with("{name: a, type: Conv1D, out_channels: 3, kernel_size: 3}"),
                       {"bad.yaml:", "unknown layer type 'Conv1D'", "did you mean 'Conv1d'?"});
  expect_model_failure(model_with("{name: a, type: Conv1d, out_channels: many, kernel_size: 3}"),
                       {"bad.yaml:", "out_channels", "many"});
  expect_model_failure(model_with("{name: a, type: Conv1d, out_channels: 3, kernel_size: -3}"),
                       {"bad.yaml:", "kernel_size", "-3"});
  expect_model_failure(
      model_with("{name: a, type: Conv1d, out_channels: 3, kernel_size: 3, strid: 2}"),
      {"bad.yaml:", "strid", "did you mean 'stride'?"});
  expect_model_failure(model_with("{name: a, type: ReLU, inputs: [a]}"), {"bad.yaml:", "a"});
}

TEST_CASE("bad weights: missing, misshapen, truncated, something else") {
  const Tensor weight = Tensor::zeros({3, 2, 3});
  const Tensor bias = Tensor::zeros({3});
  expect_weight_failure({{"a.weight", weight}}, 0, {"a.bias", "[3]", "w.safetensors"});
  expect_weight_failure({{"a.weight", Tensor::zeros({3, 1, 3})}, {"a.bias", bias}}, 0,
                        {"a.weight", "[3, 1, 3]", "expected [3, 2, 3]"});
  expect_weight_failure({{"a.weight", weight}, {"a.bias", bias}}, 4, {"w.safetensors"});
  expect_weight_failure({{"a.weight", weight}, {"a.bias", bias}}, 80, {"w.safetensors"});
  const TemporaryFolder folder;
  folder.write("w.safetensors", "PK\3\4 not a weight file at all");
  const std::string model = model_with(kConv, "weights: w.safetensors\n");
  expect_failure("info --device cpu " + shell_quoted(folder.write("bad.yaml", model)),
                 {"w.safetensors"});
}

TEST_CASE("bad input: rank, channels and dtype say what was expected and found") {
  expect_run_failure("x.npy", npy_bytes(Tensor::zeros({1, 1, 2, 9})),
                     {"expects f32 [batch, 2, length], found f32 [1, 1, 2, 9]"});
  expect_run_failure("x.npy", npy_bytes(Tensor::zeros({9})),
                     {"expects f32 [batch, 2, length], found f32 [9]"});
  expect_run_failure("x.npy", npy_bytes(Tensor::zeros({1, 2, 9}, DType::kI32)),
                     {"expects f32 [batch, 2, length], found i32 [1, 2, 9]"});
}

TEST_CASE("bad input: shorter than the kernel names the layer") {
  expect_run_failure("x.npy", npy_bytes(Tensor::zeros({1, 2, 2})), {"'a'", "Conv1d"});
}

TEST_CASE("bad input: files that are missing, empty or something else") {
  expect_failure("run --device cpu graphs/keywords.yaml --input none.wav",
                 {"none.wav", "No such file or directory"});
  expect_failure("run --device cpu graphs/keywords.yaml --input none.npy",
                 {"none.npy", "No such file or directory"});
  expect_failure("run --device cpu graphs/keywords.yaml --input graphs", {"graphs", "directory"});
  expect_run_failure("x.wav", "", {"x.wav", "empty"});
  expect_run_failure("x.wav", "no sound", {"x.wav", "not a sound file"});
  expect_run_failure("x.npy", "no array", {"x.npy"});
  const std::string npy = npy_bytes(Tensor::zeros({1, 2, 9}));
  expect_run_failure("x.npy", npy.substr(0, npy.size() - 1), {"x.npy", "truncated"});
}

TEST_CASE("bad input: names that the model does not have, too many files, too few") {
  const TemporaryFolder folder;
  const std::string model = shell_quoted(folder.write("conv.yaml", model_with(kConv)));
  const std::string x = folder.write("x.npy", npy_bytes(Tensor::zeros({1, 2, 9})));
  const std::string run = "run --device cpu " + model;
  expect_failure(fmt::format("{} --input z={}", run, x),
                 {"no input 'z', only 'x' f32 [batch, 2, length]"});
  expect_failure(fmt::format("{0} --input {1} --input {1}", run, x), {"no input is left"});
  expect_failure(fmt::format("{0} --input x={1} --input x={1}", run, x), {"given before"});
  expect_failure(fmt::format("{} --input {} --output z={}", run, x, folder.file("y.npy")),
                 {"no output 'z'"});
  expect_failure(fmt::format("{} --input {} --output {}", run, x, folder.file("none/y.npy")),
                 {"none/y.npy", "No such file or directory"});
  expect_failure(fmt::format("info --device cpu {} --size lenght=8", model),
                 {"lenght", "did you mean 'length'?"});
}

TEST_CASE("--check-finite fails on a NaN; without it a NaN is a value like others") {
  const TemporaryFolder folder;
  const std::string model = shell_quoted(folder.write("conv.yaml", model_with(kConv)));
  Tensor x = Tensor::zeros({1, 2, 9});
  x.data<float>()[5] = NAN;
  const std::string path = folder.write("x.npy", npy_bytes(x));
  const std::string run = fmt::format("run --device cpu {} --input {}", model, path);
  expect_failure(run + " --check-finite", {"output 'y' holds nan at [0, 0, 3]"});
  CHECK(run_program(run).exit_code == 0);
}

TEST_CASE("a GPU that is not there, and a precision that the CPU lacks") {
  expect_failure("info graphs/keywords.yaml --device cuda:99",
                 {cuda::device_count() == 0 ? cuda::why_no_device() : "cuda:99"});
  expect_failure("info graphs/keywords.yaml --device cpu --precision fp16",
                 {"the CPU computes in fp32 only"});
}

TEST_CASE("sizes beyond all memory are one line too") {
  const std::string bench = "bench --device cpu graphs/keywords.yaml --size ";
  expect_failure(bench + "length=4611686018427387904", {"'stem'", "has too many elements"});
  expect_failure(bench + "length=1000000000000000", {"out of memory: 4000000000.0 MB wanted"});
  expect_failure(bench + "batch=1000000000000", {"out of memory: 64000000000.0 MB wanted"});
}
