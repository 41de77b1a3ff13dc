// engine run, end to end.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/model/npy.h"
#include "tests/apps/program.h"
#include "tests/support/temporary_folder.h"

using namespace engine;
using namespace engine::test;

namespace {

constexpr const char* kTwoInputs = R"(
format: 1
name: two
inputs:
  left: {dtype: f32, shape: [batch, length]}
  right: {dtype: f32, shape: [batch, length]}
sizes: {batch: 1, length: 4}
layers:
  - {name: sum, type: Add, inputs: [left, right]}
  - {name: positive, type: ReLU}
outputs: {sum: sum, positive: positive}
)";

constexpr const char* kPassThrough = R"(
format: 1
name: pass
inputs:
  x: {dtype: f32, shape: [batch, 1, length], sample_rate: 16000}
sizes: {batch: 1, length: 4}
layers:
  - {name: y, type: Identity}
outputs: {y: y}
)";

Tensor tensor_of(std::vector<float> values) {
  Tensor tensor = Tensor::empty({1, static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.data<float>());
  return tensor;
}

std::vector<float> elements_of(const Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.elements()};
}

std::string sample(const std::string& name) { return "weights/keywords/samples/" + name; }

// "yes" out of "label  probability\n-----  ...\nyes      99.00 %\n".
std::string first_label(const std::string& out) {
  const size_t second_line = out.find('\n') + 1;
  const size_t third_line = out.find('\n', second_line) + 1;
  return out.substr(third_line, out.find(' ', third_line) - third_line);
}

}  // namespace

TEST_CASE("run: the shipped model hears the shipped words") {
  for (const std::string word : {"yes", "left", "stop", "seven"}) {
    CAPTURE(word);
    const ProgramResult result =
        run_program("run --device cpu graphs/keywords.yaml --input " + sample(word + ".wav"));
    CHECK(result.exit_code == 0);
    CHECK(first_label(result.out) == word);
    CHECK(std::count(result.out.begin(), result.out.end(), '\n') == 2 + 5);
  }
}

TEST_CASE("run: sounds of other rates and channel counts are resampled and mixed, with a note") {
  const ProgramResult stereo = run_program(
      "run --device cpu graphs/keywords.yaml --top 1 --input " + sample("up-44100-stereo.wav"));
  CHECK(first_label(stereo.out) == "up");
  CHECK(
      stereo.err ==
      "engine: note: weights/keywords/samples/up-44100-stereo.wav: 2 channels mixed down to the "
      "one that the model takes\n"
      "engine: note: weights/keywords/samples/up-44100-stereo.wav: resampled from 44100 Hz to the "
      "16000 Hz that the model takes\n");
  CHECK(first_label(
            run_program("run --device cpu graphs/keywords.yaml --input " + sample("five-8000.wav"))
                .out) == "five");
  CHECK(first_label(
            run_program("run --device cpu graphs/keywords.yaml --input " + sample("no-22050.wav"))
                .out) == "no");
}

TEST_CASE("run: a WAV arrives as its samples divided by full scale") {
  const TemporaryFolder folder;
  const std::string model = folder.write("pass.yaml", kPassThrough);
  // 16-bit mono at 16 kHz: 0, 16384, -32768.
  const std::string wav = folder.write(
      "x.wav",
      std::string("RIFF\x2a\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0"
                  "data\6\0\0\0\0\0\0\x40\0\x80",
                  50));
  const std::string y = folder.file("y.npy");
  const ProgramResult result =
      run_program(fmt::format("run --device cpu '{}' --input '{}' --output '{}'", model, wav, y));
  CHECK(result.exit_code == 0);
  CHECK(result.err == "");
  CHECK(read_npy(y).shape() == Shape{1, 1, 3});
  CHECK(elements_of(read_npy(y)) == std::vector<float>{0.0f, 0.5f, -1.0f});
}

TEST_CASE("run: a truncated WAV is used as far as it goes, with a note") {
  const TemporaryFolder folder;
  const std::string whole = read_bytes(std::string(ENGINE_SOURCE_DIR) + "/" + sample("yes.wav"));
  const std::string part = folder.write("part.wav", whole.substr(0, whole.size() - 2000));
  const ProgramResult result =
      run_program(fmt::format("run --device cpu graphs/keywords.yaml --input '{}'", part));
  CHECK(result.exit_code == 0);
  CHECK(result.err == fmt::format("engine: note: {}: the file is truncated: it declares {} bytes, "
                                  "but has {}\n",
                                  part, whole.size(), whole.size() - 2000));
}

TEST_CASE("run: inputs by order, by name and by .npz; outputs by name and all together") {
  const TemporaryFolder folder;
  const std::string model = shell_quoted(folder.write("two.yaml", kTwoInputs));
  const std::string left = folder.file("left.npy");
  const std::string right = folder.file("right.npy");
  write_npy(left, tensor_of({1, 2, 3}));
  write_npy(right, tensor_of({-5, 0, 0.5}));
  write_npz(folder.file("both.npz"),
            {{"right", tensor_of({-5, 0, 0.5})}, {"left", tensor_of({1, 2, 3})}});
  for (const std::string& inputs : {fmt::format("--input {} --input {}", left, right),
                                    fmt::format("--input right={} --input {}", right, left),
                                    fmt::format("--input {}", folder.file("both.npz"))}) {
    CAPTURE(inputs);
    const std::string all = folder.file("all.npz");
    const std::string one = folder.file("one.npy");
    const ProgramResult result = run_program(fmt::format(
        "run --device cpu {} {} --output {} --output positive={}", model, inputs, all, one));
    CHECK(result.exit_code == 0);
    CHECK(result.out == "");
    CHECK(elements_of(read_npz(all).at("sum")) == std::vector<float>{-4, 2, 3.5});
    CHECK(elements_of(read_npz(all).at("positive")) == std::vector<float>{0, 2, 3.5});
    CHECK(elements_of(read_npy(one)) == std::vector<float>{0, 2, 3.5});
  }
}

TEST_CASE("run: without labels and --output, a summary of each output") {
  const TemporaryFolder folder;
  const std::string model = shell_quoted(folder.write("two.yaml", kTwoInputs));
  write_npy(folder.file("x.npy"), tensor_of({1, -2}));
  const std::string x = folder.file("x.npy");
  const ProgramResult result =
      run_program(fmt::format("run --device cpu {} --input {} --input {}", model, x, x));
  CHECK(result.exit_code == 0);
  CHECK(result.out ==
        "sum f32 [1, 2]: min -4, max 2, mean -1; first 2, -4\n"
        "positive f32 [1, 2]: min 0, max 2, mean 1; first 2, 0\n");
}

TEST_CASE("run: a float64 array is converted, with a note") {
  const TemporaryFolder folder;
  const std::string model = folder.write("pass.yaml", kPassThrough);
  const std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }";
  std::string npy = std::string("\x93NUMPY\1\0", 8) + '\x76' + '\0';
  npy += header + std::string(0x76 - header.size() - 1, ' ') + '\n';
  const double values[] = {1.5, -2.0};
  npy.append(reinterpret_cast<const char*>(values), sizeof(values));
  const ProgramResult result = run_program(
      fmt::format("run --device cpu '{}' --input '{}'", model, folder.write("x.npy", npy)));
  CHECK(result.exit_code == 0);
  CHECK(result.out == "y f32 [1, 1, 2]: min -2, max 1.5, mean -0.25; first 1.5, -2\n");
  CHECK(result.err.find("x.npy: converted from f64 to f32") != std::string::npos);
}
