// Every reader on thousands of damaged files: each is read or is an Error, whatever the damage.
#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "engine/error.h"
#include "engine/model/model_spec.h"
#include "engine/model/npy.h"
#include "engine/model/weight_file.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace engine {
namespace {

constexpr int kTrials = 1000;
const std::string kData = (test::source_path("tests/data") / "").string();

// Cut short, or with a few bytes flipped, or with one piece overwritten by another.
std::string damage(std::string bytes, std::mt19937& random) {
  const auto below = [&](size_t bound) { return random() % bound; };
  switch (below(3)) {
    case 0:
      bytes.resize(below(bytes.size()));
      break;
    case 1:
      for (size_t i = 0; i <= below(4); ++i) {
        bytes[below(bytes.size())] ^= static_cast<char>(1 << below(8));
      }
      break;
    default:
      const size_t from = below(bytes.size());
      const size_t to = below(bytes.size());
      bytes.replace(to, 1 + below(8), bytes.substr(from, 1 + below(8)));
  }
  return bytes;
}

// Anything but an Error is let through, and fails the test.
void expect_read_or_error(const std::string& bytes, const std::function<void(std::string)>& read) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("damaged", bytes);
  std::mt19937 random(1);
  int rejected = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    CAPTURE(trial);
    folder.write("damaged", damage(bytes, random));
    try {
      read(path);
    } catch (const Error& error) {
      ++rejected;
      CHECK(std::string(error.what()).find('\n') == std::string::npos);
    }
  }
  CHECK(rejected > kTrials / 4);
}

// Touches all elements, so that a sanitiser sees a tensor that reaches beyond its file.
void sum_bytes(const Tensor& tensor) {
  const auto* bytes = static_cast<const unsigned char*>(tensor.raw());
  volatile unsigned sum = 0;
  for (int64_t i = 0; i < tensor.bytes(); ++i) sum = sum + bytes[i];
}

TEST_CASE("damaged files: safetensors") {
  expect_read_or_error(test::read_bytes(kData + "types.safetensors"), [](const std::string& path) {
    const WeightFile file = WeightFile::open(path);
    for (const auto& [name, tensor] : file.tensors()) sum_bytes(tensor);
  });
}

TEST_CASE("damaged files: npy") {
  expect_read_or_error(test::read_bytes(kData + "array.npy"),
                       [](const std::string& path) { sum_bytes(read_npy(path)); });
}

TEST_CASE("damaged files: npz") {
  expect_read_or_error(test::read_bytes(kData + "types.npz"), [](const std::string& path) {
    for (const auto& [name, tensor] : read_npz(path)) sum_bytes(tensor);
  });
}

TEST_CASE("damaged files: models") {
  expect_read_or_error(
      "format: 1\n"
      "inputs:\n"
      "  x: {dtype: f32, shape: [batch, 1, length], sample_rate: 8000}\n"
      "sizes: {batch: 1, length: &n 16000}\n"
      "layers:\n"
      "  - {name: stem, type: Conv1d, out_channels: 64, kernel_size: *n}\n"
      "  - name: 'act'\n"
      "    type: \"ReLU\"\n"
      "  - {name: skip, type: Add, inputs: [act, stem]}  # a comment\n"
      "outputs: {scores: skip}\n"
      "labels: [yes, no]\n",
      [](const std::string& path) { read_model(path); });
}

}  // namespace
}  // namespace engine
