#include "engine/model/npy.h"

#include <doctest/doctest.h>

#include <numeric>

#include "engine/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace engine {
namespace {

const std::string kData = (test::source_path("tests/data") / "").string();

template <typename T>
std::vector<T> values(const Tensor& tensor) {
  return {tensor.data<T>(), tensor.data<T>() + tensor.elements()};
}

// A version 1.0 .npy with this header, unpadded.
std::string npy(const std::string& dict, const std::string& data) {
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(dict.size() & 0xff) +
         static_cast<char>(dict.size() >> 8) + dict + data;
}

std::string dict(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
}

void expect_npy_error(const std::string& bytes, const std::string& message) {
  CAPTURE(bytes);
  const test::TemporaryFolder folder;
  const std::string path = folder.write("a.npy", bytes);
  test::expect_error([&] { read_npy(path); }, ErrorKind::kInvalidArgument, path + ": " + message);
}

void expect_damaged_header(const std::string& text, const std::string& message) {
  expect_npy_error(npy(text, ""), "the .npy header is damaged: " + message);
}

void expect_npz_error(const std::string& bytes, ErrorKind kind, const std::string& message) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("a.npz", bytes);
  test::expect_error([&] { read_npz(path); }, kind, path + ": " + message);
}

TEST_CASE("npy: files of numpy.save in versions 1.0, 2.0 and 3.0") {
  for (const char* name : {"array.npy", "version2.npy", "version3.npy"}) {
    CAPTURE(name);
    const Tensor tensor = read_npy(kData + name);
    CHECK(tensor.shape() == Shape{2, 3});
    CHECK(values<float>(tensor) == std::vector<float>{-2, -1, 0, 1, 2, 3});
  }
}

TEST_CASE("npz: every element type and order of numpy.savez") {
  const std::map<std::string, Tensor> arrays = read_npz(kData + "types.npz");
  CHECK(arrays.size() == 12);
  for (const char* name : {"f4", "f8", "fortran"}) {
    CAPTURE(name);
    CHECK(arrays.at(name).shape() == Shape{2, 3});
    CHECK(values<float>(arrays.at(name)) == std::vector<float>{-2, -1, 0, 1, 2, 3});
  }
  CHECK(values<float>(arrays.at("f2").to(DType::kF32)) == std::vector<float>{-2, -1, 0, 1, 2, 3});
  CHECK(arrays.at("f2").dtype() == DType::kF16);
  CHECK(values<int32_t>(arrays.at("i2")) == std::vector<int32_t>{-2, -1, 0, 1, 2, 3});
  CHECK(values<int32_t>(arrays.at("i4")) == std::vector<int32_t>{-2, -1, 0, 1, 2, 3});
  CHECK(values<int64_t>(arrays.at("i8")) == std::vector<int64_t>{-2, -1, 0, 1, 2, 3});
  CHECK(values<int32_t>(arrays.at("u1")) == std::vector<int32_t>{0, 1, 2, 3, 4, 5});
  CHECK(values<int32_t>(arrays.at("b1")) == std::vector<int32_t>{0, 0, 0, 1, 1, 1});
  CHECK(arrays.at("scalar").shape().empty());
  CHECK(values<float>(arrays.at("scalar")) == std::vector<float>{7});
  CHECK(arrays.at("empty").shape() == Shape{0, 3});
  CHECK(arrays.at("fortran3").shape() == Shape{2, 3, 4});
  std::vector<int32_t> counted(24);
  std::iota(counted.begin(), counted.end(), 0);
  CHECK(values<int32_t>(arrays.at("fortran3")) == counted);
}

TEST_CASE("npy: writes the same bytes as numpy.save") {
  const test::TemporaryFolder folder;
  write_npy(folder.file("a.npy"), read_npy(kData + "array.npy"));
  CHECK(test::read_bytes(folder.file("a.npy")) == test::read_bytes(kData + "array.npy"));
}

TEST_CASE("npy: what is written is read back") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("a.npy");
  float numbers[] = {1.0f, -0.5f, 3e38f};
  for (const Shape& shape : {Shape{3}, Shape{1, 3}, Shape{3, 1, 1}}) {
    write_npy(path, Tensor::wrap(numbers, shape));
    CHECK(read_npy(path).shape() == shape);
    CHECK(values<float>(read_npy(path)) == std::vector<float>{1.0f, -0.5f, 3e38f});
  }
  write_npy(path, Tensor::wrap(numbers, {}));
  CHECK(read_npy(path).shape().empty());
  write_npy(path, Tensor::empty({0, 5}));
  CHECK(read_npy(path).shape() == Shape{0, 5});
  int64_t integers[] = {INT64_MIN, INT64_MAX};
  write_npy(path, Tensor::wrap(integers, {2}));
  CHECK(values<int64_t>(read_npy(path)) == std::vector<int64_t>{INT64_MIN, INT64_MAX});
  int32_t small[] = {INT32_MIN, 7};
  write_npy(path, Tensor::wrap(small, {2}));
  CHECK(values<int32_t>(read_npy(path)) == std::vector<int32_t>{INT32_MIN, 7});
  Half halves[] = {Half(0.5f), Half(-2.0f)};
  write_npy(path, Tensor::wrap(halves, {2}));
  CHECK(values<float>(read_npy(path).to(DType::kF32)) == std::vector<float>{0.5f, -2.0f});
  BFloat16 brains[] = {BFloat16(0.5f), BFloat16(-2.0f)};
  write_npy(path, Tensor::wrap(brains, {2}));
  CHECK(values<float>(read_npy(path)) == std::vector<float>{0.5f, -2.0f});
}

TEST_CASE("npy: headers that other programs write") {
  const test::TemporaryFolder folder;
  const std::string data(8, '\0');
  for (const char* text : {"{\"shape\": (2,), \"fortran_order\": False, \"descr\": \"<f4\"}",
                           "{'shape':(2L,),'fortran_order':True,'descr':'<f4',}",
                           "{ 'descr' : '<i4' , 'fortran_order' : False , 'shape' : ( 2 , ) , } \n",
                           "{'descr': '<i8', 'fortran_order': False, 'shape': (1)}"}) {
    CAPTURE(text);
    CHECK_NOTHROW(read_npy(folder.write("a.npy", npy(text, data))));
  }
}

TEST_CASE("npy: error messages of files") {
  test::expect_error([] { read_npy("no/such.npy"); }, ErrorKind::kIo,
                     "no/such.npy: cannot read the file: No such file or directory");
  test::expect_error([] { write_npy("no/such.npy", Tensor::zeros({1})); }, ErrorKind::kIo,
                     "no/such.npy: cannot write the file: No such file or directory");
  expect_npy_error("", "not a .npy file: it does not begin with \\x93NUMPY");
  expect_npy_error("RIFF....WAVE", "not a .npy file: it does not begin with \\x93NUMPY");
  expect_npy_error("\x93NUMPY\x01", "the .npy header is truncated");
  expect_npy_error(std::string("\x93NUMPY\x01\x00\x10", 9), "the .npy header is truncated");
  expect_npy_error(npy(dict("<f4", "(2,)"), "").substr(0, 40), "the .npy header is truncated");
  expect_npy_error(std::string("\x93NUMPY\x04\x00\x00\x00", 10),
                   "version 4 of the .npy format; expected 1, 2 or 3");
}

TEST_CASE("npy: error messages of the elements") {
  expect_npy_error(npy(dict("<f4", "(2, 3)"), std::string(20, '\0')),
                   "[2, 3] of <f4 take 24 bytes, but the file holds 20; the file is truncated");
  expect_npy_error(npy(dict("<f4", "(1000000000000,)"), ""),
                   "[1000000000000] of <f4 take 4000000000000 bytes, but the file holds 0; the "
                   "file is truncated");
  expect_npy_error(npy(dict("<f4", "(4611686018427387904, 4)"), ""),
                   "shape [4611686018427387904, 4] has too many elements");
  expect_npy_error(npy(dict("<f4", "(2,)"), std::string(9, '\0')),
                   "1 bytes after the end of the array");
  expect_npy_error(npy(dict("<c8", "(2,)"), ""),
                   "elements of type '<c8'; expected f2, f4, f8, i2, i4, i8, u1 or bool");
  const auto expect_file_error = [](const std::string& path, const std::string& message) {
    test::expect_error([&] { read_npy(path); }, ErrorKind::kInvalidArgument, path + ": " + message);
  };
  expect_file_error(kData + "complex.npy",
                    "elements of type '<c8'; expected f2, f4, f8, i2, i4, i8, u1 or bool");
  expect_file_error(kData + "big_endian.npy",
                    "elements '>f4' are big-endian; save the array as little-endian");
  expect_file_error(kData + "structured.npy", "a structured array; expected an array of numbers");
}

TEST_CASE("npy: error messages of the header") {
  expect_damaged_header("", "expected '{'");
  expect_damaged_header("{3: 4}", "expected '\"'");
  expect_damaged_header("{'descr", "a text without end");
  expect_damaged_header("{'descr' '<f4'}", "expected ':'");
  expect_damaged_header("{'descr': '<f4' 'shape': ()}", "expected '}'");
  expect_damaged_header("{'order': 'C'}", "unexpected key 'order'");
  expect_damaged_header("{'descr': '<f4', 'descr': '<f4'}", "unexpected key 'descr'");
  expect_damaged_header("{'descr': '<f4'}", "expected the keys descr, fortran_order and shape");
  expect_damaged_header("{'fortran_order': 0}", "fortran_order must be True or False");
  expect_damaged_header("{'shape': [2]}", "expected '('");
  expect_damaged_header("{'shape': (2 3)}", "expected ')'");
  for (const char* size : {"-1", "x", "'2'", "99999999999999999999", ","}) {
    expect_damaged_header("{'shape': (" + std::string(size) + ")}",
                          "a size in shape must be an integer of at least 0");
  }
  expect_damaged_header(dict("<f4", "()") + "x", "text after the closing brace");
}

template <typename T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

TEST_CASE("npz: a ZIP64 end record") {
  const std::string good = test::read_bytes(kData + "types.npz");
  const size_t directory = good.find("PK\x01\x02");
  const size_t end = good.find("PK\x05\x06");
  std::string wide = good.substr(0, end) + "PK\x06\x06";
  append<uint64_t>(wide, 44);               // bytes that follow
  append<uint32_t>(wide, 45 | (45 << 16));  // versions
  append<uint64_t>(wide, 0);                // disks
  append<uint64_t>(wide, 12);               // members on this disk
  append<uint64_t>(wide, 12);               // members
  append<uint64_t>(wide, end - directory);  // bytes of the directory
  append<uint64_t>(wide, directory);
  wide += "PK\x06\x07";
  append<uint32_t>(wide, 0);
  append<uint64_t>(wide, end);
  append<uint32_t>(wide, 1);
  std::string narrow_end = good.substr(end);
  narrow_end.replace(8, 12, 12, '\xff');  // counts, size and offset: see the wide record
  const test::TemporaryFolder folder;
  CHECK(read_npz(folder.write("a.npz", wide + narrow_end)).size() == 12);
  expect_npz_error(good.substr(0, end) + narrow_end, ErrorKind::kInvalidArgument,
                   "the ZIP archive is damaged: no record where one should be, at byte " +
                       std::to_string(end - 20));
}

TEST_CASE("npz: error messages") {
  const std::string good = test::read_bytes(kData + "types.npz");
  test::expect_error([] { read_npz("no/such.npz"); }, ErrorKind::kIo,
                     "no/such.npz: cannot read the file: No such file or directory");
  test::expect_error([] { read_npz(kData + "compressed.npz"); }, ErrorKind::kUnsupported,
                     kData +
                         "compressed.npz: member 'f4.npy' is compressed; write the file with "
                         "numpy.savez in place of numpy.savez_compressed");
  expect_npz_error("", ErrorKind::kInvalidArgument,
                   "not a ZIP archive, or truncated: its end record is missing");
  expect_npz_error(test::read_bytes(kData + "array.npy"), ErrorKind::kInvalidArgument,
                   "not a ZIP archive, or truncated: its end record is missing");
  expect_npz_error(good.substr(0, good.size() - 1), ErrorKind::kInvalidArgument,
                   "not a ZIP archive, or truncated: its end record is missing");
  expect_npz_error(good.substr(1), ErrorKind::kInvalidArgument,
                   "the ZIP archive is damaged: no record where one should be, at byte " +
                       std::to_string(good.find("PK\x01\x02")));
  std::string encrypted = good;
  encrypted[good.find("PK\x01\x02") + 8] |= 1;
  expect_npz_error(encrypted, ErrorKind::kUnsupported, "member 'f2.npy' is encrypted");
  std::string two_sizes = good;
  ++two_sizes[good.find("PK\x01\x02") + 24];
  expect_npz_error(two_sizes, ErrorKind::kInvalidArgument,
                   "the ZIP archive is damaged: member 'f2.npy' has two sizes, 141 and 140");
  std::string no_wide_size = good;
  no_wide_size.replace(good.find("PK\x01\x02") + 24, 4, 4, '\xff');
  expect_npz_error(no_wide_size, ErrorKind::kInvalidArgument,
                   "the ZIP archive is damaged: a size of 64 bits is missing");
  std::string far_away = good;
  far_away.replace(good.find("PK\x01\x02") + 42, 4, 4, '\x7f');
  expect_npz_error(far_away, ErrorKind::kInvalidArgument,
                   "the ZIP archive is damaged: it refers to bytes beyond its end");
}

TEST_CASE("npz: error messages of the members") {
  const std::string good = test::read_bytes(kData + "types.npz");
  // The name as the central directory has it, which is the one that counts.
  const size_t name = good.find("PK\x01\x02") + 46;
  std::string text_member = good;
  text_member.replace(name, 6, "f2.txt");
  expect_npz_error(text_member, ErrorKind::kInvalidArgument, "member 'f2.txt' is no .npy");
  std::string twice = good;
  twice.replace(name, 6, "f4.npy");
  expect_npz_error(twice, ErrorKind::kInvalidArgument, "member 'f4.npy' is there twice");
  std::string bad_member = good;
  bad_member[good.find("NUMPY")] = 'n';
  expect_npz_error(bad_member, ErrorKind::kInvalidArgument,
                   "member 'f2.npy': not a .npy file: it does not begin with \\x93NUMPY");
}

TEST_CASE("npz: what is written reads back, and equal tensors give equal files") {
  const test::TemporaryFolder folder;
  float floats[] = {1.5f, -2.0f};
  int64_t integers[] = {1, 2, 3};
  const std::map<std::string, Tensor> tensors{{"x", Tensor::wrap(floats, {1, 2})},
                                              {"n", Tensor::wrap(integers, {3})}};
  write_npz(folder.file("a.npz"), tensors);
  const std::map<std::string, Tensor> found = read_npz(folder.file("a.npz"));
  CHECK(found.size() == 2);
  CHECK(found.at("x").shape() == Shape{1, 2});
  CHECK(values<float>(found.at("x")) == std::vector<float>{1.5f, -2.0f});
  CHECK(values<int64_t>(found.at("n")) == std::vector<int64_t>{1, 2, 3});
  write_npz(folder.file("b.npz"), tensors);
  CHECK(test::read_bytes(folder.file("a.npz")) == test::read_bytes(folder.file("b.npz")));
  // The first member's CRC-32: of a .npy header and three integers, as Python's zipfile has it.
  CHECK(test::read_bytes(folder.file("a.npz")).substr(14, 4) == "\xbc\x91\x55\x8e");
}

}  // namespace
}  // namespace engine
