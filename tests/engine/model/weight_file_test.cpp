#include "engine/model/weight_file.h"

#include <doctest/doctest.h>

#include <cstring>

#include "engine/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace engine {
namespace {

const std::string kTypes = test::source_path("tests/data/types.safetensors").string();

// A safetensors file with this header and as many bytes of data.
std::string safetensors(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + header + std::string(data_bytes, '\0');
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

void expect_weight_error(const std::string& bytes, const std::string& message) {
  CAPTURE(bytes);
  const test::TemporaryFolder folder;
  const std::string path = folder.write("w.safetensors", bytes);
  test::expect_error([&] { WeightFile::open(path); }, ErrorKind::kWeights, path + ": " + message);
}

// The same for a file with the one tensor 'a'.
void expect_tensor_error(const std::string& a, size_t data_bytes, const std::string& message) {
  expect_weight_error(safetensors("{\"a\":" + a + "}", data_bytes), "tensor 'a': " + message);
}

template <typename T>
std::vector<T> values(const Tensor& tensor) {
  return {tensor.data<T>(), tensor.data<T>() + tensor.elements()};
}

TEST_CASE("weights: a file by the format's own library, in every type") {
  const WeightFile file = WeightFile::open(kTypes);
  CHECK(file.path() == kTypes);
  CHECK(file.tensors().size() == 6);
  for (const char* name : {"f32", "f16", "bf16", "f64"}) {
    CAPTURE(name);
    const Tensor* tensor = file.find(name);
    REQUIRE(tensor);
    CHECK(tensor->shape() == Shape{2, 3});
    CHECK(values<float>(*tensor) == std::vector<float>{-2, -1, 0, 1, 2, 3});
  }
  CHECK(values<int32_t>(*file.find("i32")) == std::vector<int32_t>{-2, -1, 0, 1, 2, 3});
  CHECK(values<int64_t>(*file.find("i64")) == std::vector<int64_t>{-2, -1, 0, 1, 2, 3});
  CHECK(file.find("nothing") == nullptr);
  test::expect_error([&] { file.find("u8"); }, ErrorKind::kWeights,
                     kTypes +
                         ": tensor 'u8' has dtype U8, which no layer takes; expected F32, "
                         "F16, BF16, F64, I32 or I64");
}

TEST_CASE("weights: tensors outlive the WeightFile") {
  Tensor tensor;
  {
    const WeightFile file = WeightFile::open(kTypes);
    tensor = *file.find("f32");
  }
  CHECK(values<float>(tensor) == std::vector<float>{-2, -1, 0, 1, 2, 3});
}

TEST_CASE("weights: no tensors at all") {
  const test::TemporaryFolder folder;
  CHECK(WeightFile().find("a") == nullptr);
  CHECK(WeightFile::open(folder.write("e", safetensors("{}", 0))).tensors().empty());
  CHECK(WeightFile::open(folder.write("m", safetensors(R"({"__metadata__":{"a":"b"}})", 0)))
            .tensors()
            .empty());
}

TEST_CASE("weights: aligned data are borrowed, unaligned data copied") {
  const test::TemporaryFolder folder;
  const std::string header = "{\"a\":" + entry("F32", "[2]", "[0,8]") + "}";
  for (size_t padding = 0; padding < 8; ++padding) {
    CAPTURE(padding);
    std::string bytes = safetensors(header + std::string(padding, ' '), 8);
    const float stored[] = {1.5f, -2.5f};
    std::memcpy(&bytes[bytes.size() - 8], stored, 8);
    const WeightFile file = WeightFile::open(folder.write("w", bytes));
    const Tensor& tensor = *file.find("a");
    CHECK(reinterpret_cast<uintptr_t>(tensor.raw()) % sizeof(float) == 0);
    CHECK(values<float>(tensor) == std::vector<float>{1.5f, -2.5f});
  }
}

TEST_CASE("weights: scalars and tensors without elements") {
  const test::TemporaryFolder folder;
  const WeightFile file = WeightFile::open(folder.write(
      "w", safetensors("{\"a\":" + entry("F32", "[]", "[0,4]") +
                           ",\"b\":" + entry("F32", "[0,3]", "[0,0]") +
                           ",\"c\":" + entry("I32", "[1]", "[4,8]") +
                           ",\"d\":" + entry("F16", "[4000000000,4000000000,0]", "[8,8]") + "}",
                       8)));
  CHECK(file.find("a")->shape().empty());
  CHECK(file.find("a")->elements() == 1);
  CHECK(file.find("b")->elements() == 0);
  CHECK(file.find("d")->elements() == 0);
}

TEST_CASE("weights: what is written is read back") {
  const test::TemporaryFolder folder;
  float f32[] = {1.0f, -0.5f, 3e38f};
  Half f16[] = {Half(0.5f)};
  BFloat16 bf16[] = {BFloat16(2.0f), BFloat16(-4.0f), BFloat16(0.0f)};
  int32_t i32[] = {INT32_MIN, INT32_MAX};
  int64_t i64[] = {INT64_MIN, INT64_MAX};
  const std::string path = folder.file("w.safetensors");
  write_weight_file(path, {{"a.weight", Tensor::wrap(f32, {1, 3})},
                           {"h", Tensor::wrap(f16, {1})},
                           {"b", Tensor::wrap(bf16, {3})},
                           {"i", Tensor::wrap(i32, {2})},
                           {"n", Tensor::wrap(i64, {2, 1})},
                           {"none", Tensor::empty({2, 0})},
                           {"\xc3\xa9 \"quoted\"", Tensor::wrap(f32, {})}});
  const WeightFile file = WeightFile::open(path);
  CHECK(file.tensors().size() == 7);
  CHECK(file.find("a.weight")->shape() == Shape{1, 3});
  CHECK(values<float>(*file.find("a.weight")) == std::vector<float>{1.0f, -0.5f, 3e38f});
  CHECK(values<float>(*file.find("h")) == std::vector<float>{0.5f});
  CHECK(values<float>(*file.find("b")) == std::vector<float>{2.0f, -4.0f, 0.0f});
  CHECK(values<int32_t>(*file.find("i")) == std::vector<int32_t>{INT32_MIN, INT32_MAX});
  CHECK(values<int64_t>(*file.find("n")) == std::vector<int64_t>{INT64_MIN, INT64_MAX});
  CHECK(file.find("none")->shape() == Shape{2, 0});
  CHECK(values<float>(*file.find("\xc3\xa9 \"quoted\"")) == std::vector<float>{1.0f});
}

TEST_CASE("weights: writing replaces a file at once") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("w.safetensors");
  float old_values[] = {1.0f};
  float new_values[] = {2.0f, 3.0f};
  write_weight_file(path, {{"a", Tensor::wrap(old_values, {1})}});
  const WeightFile old_file = WeightFile::open(path);
  write_weight_file(path, {{"a", Tensor::wrap(new_values, {2})}});
  CHECK(values<float>(*old_file.find("a")) == std::vector<float>{1.0f});
  CHECK(values<float>(*WeightFile::open(path).find("a")) == std::vector<float>{2.0f, 3.0f});
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder.file(""))) {
    CAPTURE(file.path().string());
    ++files;
  }
  CHECK(files == 1);
}

TEST_CASE("weights: writing through a symbolic link keeps the link") {
  const test::TemporaryFolder folder;
  float one[] = {1.0f};
  folder.write("real", "old");
  std::filesystem::create_symlink("real", folder.file("link"));
  write_weight_file(folder.file("link"), {{"a", Tensor::wrap(one, {1})}});
  CHECK(std::filesystem::is_symlink(folder.file("link")));
  CHECK(WeightFile::open(folder.file("real")).find("a"));
}

TEST_CASE("weights: error messages of files that cannot be opened or written") {
  test::expect_error([] { WeightFile::open("no/such.safetensors"); }, ErrorKind::kIo,
                     "no/such.safetensors: cannot read the file: No such file or directory");
  test::expect_error([] { WeightFile::open("/dev/null"); }, ErrorKind::kIo,
                     "/dev/null: cannot read the file: it is not a regular file");
  test::expect_error([] { write_weight_file("no/such.safetensors", {}); }, ErrorKind::kIo,
                     "no/such.safetensors: cannot write the file: No such file or directory");
  float large[4096] = {};
  test::expect_error(
      [&] {
        write_weight_file("/dev/full", {{"a", Tensor::wrap(large, {4096})}});
      },
      ErrorKind::kIo, "/dev/full: cannot write the file: No space left on device");
}

TEST_CASE("weights: error messages of the header's place") {
  expect_weight_error("", "not a safetensors file: it holds 0 bytes, expected at least 8");
  expect_weight_error("1234567", "not a safetensors file: it holds 7 bytes, expected at least 8");
  expect_weight_error("PK\x03\x04 a PyTorch checkpoint",
                      "not a safetensors file: it begins with a header length of "
                      "5773721512423148368 bytes, expected at most 100000000; "
                      "safetensors.torch.save_file writes such files");
  expect_weight_error(safetensors(std::string(100, ' '), 0).substr(0, 50),
                      "the header ends at byte 108, but the file holds 50; the file is truncated");
}

TEST_CASE("weights: error messages of the header's JSON") {
  expect_weight_error(safetensors("", 0), "the header is not valid JSON at its byte 1");
  expect_weight_error(safetensors("{\"a\"}", 0), "the header is not valid JSON at its byte 5");
  expect_weight_error(safetensors("{\"\xff\":1}", 0), "the header is not valid JSON at its byte 3");
  expect_weight_error(safetensors("[]", 0), "the header is not a JSON object");
  expect_weight_error(safetensors("{\"a\":" + std::string(50000, '['), 0),
                      "the header is nested too deeply");
  expect_weight_error(safetensors("{\"a\":" + entry("F32", "[1]", "[0,4]") +
                                      ",\"a\":" + entry("F32", "[1]", "[0,4]") + "}",
                                  4),
                      "the header has the key 'a' twice");
  expect_weight_error(safetensors(R"({"a":{"dtype":"F32","dtype":"F16"}})", 0),
                      "the header has the key 'dtype' twice");
  expect_weight_error(safetensors(R"({"__metadata__":{"a":1}})", 0),
                      "__metadata__ in the header must be a map of texts");
  expect_weight_error(safetensors(R"({"__metadata__":"a"})", 0),
                      "__metadata__ in the header must be a map of texts");
}

TEST_CASE("weights: error messages of a tensor's fields") {
  expect_tensor_error("3", 0, "the header must give an object with dtype, shape and data_offsets");
  expect_tensor_error("{}", 0, "dtype must be a text");
  expect_tensor_error(R"({"dtype":3})", 0, "dtype must be a text");
  expect_tensor_error(R"({"dtype":"F31"})", 0, "unknown dtype 'F31'");
  expect_tensor_error(R"({"dtype":"F32"})", 0, "shape must be a list of integers of at least 0");
  for (const char* shape :
       {"3", "[-1]", "[1.0]", "[\"1\"]", "[null]", "[1e3]", "[[1]]", "[18446744073709551616]"}) {
    expect_tensor_error(entry("F32", shape, "[0,4]"), 4,
                        "shape must be a list of integers of at least 0");
  }
  expect_tensor_error(entry("F32", "[9223372036854775808]", "[0,4]"), 4,
                      "size 9223372036854775808 in the shape is too large");
  expect_tensor_error(R"({"dtype":"F32","shape":[1]})", 4,
                      "data_offsets must be a list of integers of at least 0");
  expect_tensor_error(entry("F32", "[1]", "[-4,0]"), 4,
                      "data_offsets must be a list of integers of at least 0");
  expect_tensor_error(entry("F32", "[1]", "[0]"), 4, "data_offsets must be two numbers, found 1");
  expect_tensor_error(entry("F32", "[1]", "[0,4,8]"), 4,
                      "data_offsets must be two numbers, found 3");
}

TEST_CASE("weights: error messages of a tensor's data") {
  expect_tensor_error(entry("F32", "[1]", "[4,0]"), 4, "data_offsets [4, 0] run backwards");
  expect_tensor_error(entry("F32", "[1280]", "[0,5120]"), 4096,
                      "data ends at byte 5120, but the file has 4096 bytes of data; the file is "
                      "truncated");
  expect_tensor_error(entry("F32", "[1]", "[18446744073709551612,18446744073709551615]"), 4,
                      "data ends at byte 18446744073709551615, but the file has 4 bytes of data; "
                      "the file is truncated");
  expect_tensor_error(entry("F32", "[3,4]", "[0,40]"), 40,
                      "F32 [3, 4] takes 48 bytes, but data_offsets span 40");
  expect_tensor_error(entry("F32", "[4611686018427387904,4]", "[0,0]"), 0,
                      "shape [4611686018427387904, 4] has too many elements");
  expect_tensor_error(entry("F64", "[2305843009213693952]", "[0,0]"), 0,
                      "shape [2305843009213693952] has too many elements");
}

TEST_CASE("weights: error messages of overlaps and gaps") {
  const auto two = [](const std::string& a, const std::string& b) {
    return safetensors("{\"a\":" + a + ",\"b\":" + b + "}", 16);
  };
  expect_weight_error(two(entry("F32", "[3]", "[0,12]"), entry("F32", "[2]", "[8,16]")),
                      "tensor 'b': its data overlap those of 'a'");
  expect_weight_error(two(entry("F32", "[4]", "[0,16]"), entry("F32", "[4]", "[0,16]")),
                      "tensor 'b': its data overlap those of 'a'");
  expect_weight_error(two(entry("F32", "[1]", "[0,4]"), entry("F32", "[2]", "[8,16]")),
                      "4 bytes before tensor 'b' belong to no tensor");
  expect_weight_error(two(entry("F32", "[1]", "[0,4]"), entry("F32", "[1]", "[4,8]")),
                      "the last 8 bytes belong to no tensor");
  expect_weight_error(safetensors("{}", 1), "the last 1 bytes belong to no tensor");
}

}  // namespace
}  // namespace engine
