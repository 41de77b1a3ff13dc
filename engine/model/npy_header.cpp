#include "engine/model/npy_header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

#include "engine/error.h"
#include "engine/model/bytes.h"
#include "engine/model/text.h"

namespace engine {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kVersionBytes = 2;

// Reads the one kind of Python literal that numpy.save writes:
// {'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }
class DictReader {
 public:
  DictReader(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

  NpyHeader read() {
    NpyHeader header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!take('}')) {
      const std::string key = read_string();
      expect(':');
      if (key == "descr" && !has_descr) {
        header.descr = read_descr();
        has_descr = true;
      } else if (key == "fortran_order" && !has_order) {
        header.fortran_order = read_boolean();
        has_order = true;
      } else if (key == "shape" && !has_shape) {
        header.shape = read_shape();
        has_shape = true;
      } else {
        fail(fmt::format("unexpected key {}", in_quotes(key)));
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) fail("text after the closing brace");
    if (!has_descr || !has_order || !has_shape) {
      fail("expected the keys descr, fortran_order and shape");
    }
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("{}: the .npy header is damaged: {}", name_, message));
  }

  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
  }

  bool take(char c) {
    skip_space();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool take(std::string_view word) {
    skip_space();
    if (rest_.substr(0, word.size()) != word) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  void expect(char c) {
    if (!take(c)) fail(fmt::format("expected '{}'", c));
  }

  std::string read_string() {
    const char quote = take('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const size_t end = rest_.find(quote);
    if (end == std::string_view::npos) fail("a text without end");
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return text;
  }

  std::string read_descr() {
    skip_space();
    if (!rest_.empty() && rest_[0] == '[') {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("{}: a structured array; expected an array of numbers", name_));
    }
    return read_string();
  }

  bool read_boolean() {
    if (take("True")) return true;
    if (take("False")) return false;
    fail("fortran_order must be True or False");
  }

  Shape read_shape() {
    Shape shape;
    expect('(');
    while (!take(')')) {
      shape.push_back(read_size());
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  int64_t read_size() {
    skip_space();
    int64_t size = 0;
    const auto [end, error] = std::from_chars(rest_.begin(), rest_.end(), size);
    if (error != std::errc{} || size < 0) fail("a size in shape must be an integer of at least 0");
    rest_.remove_prefix(static_cast<size_t>(end - rest_.begin()));
    take('L');  // the mark of Python 2's long integers
    return size;
  }

  std::string_view rest_;
  std::string name_;
};

}  // namespace

NpyHeader parse_npy_header(std::string_view file, const std::string& name) {
  const auto fail = [&](const std::string& message) {
    throw Error(ErrorKind::kInvalidArgument, fmt::format("{}: {}", name, message));
  };
  if (file.substr(0, kMagic.size()) != kMagic) {
    fail("not a .npy file: it does not begin with \\x93NUMPY");
  }
  if (file.size() < kMagic.size() + kVersionBytes) fail("the .npy header is truncated");
  const int version = static_cast<unsigned char>(file[kMagic.size()]);
  if (version < 1 || version > 3) {
    fail(fmt::format("version {} of the .npy format; expected 1, 2 or 3", version));
  }
  const size_t length_bytes = version == 1 ? 2 : 4;
  const size_t length_at = kMagic.size() + kVersionBytes;
  const size_t dict_at = length_at + length_bytes;
  if (file.size() < dict_at) fail("the .npy header is truncated");
  const size_t length =
      version == 1 ? read_at<uint16_t>(file, length_at) : read_at<uint32_t>(file, length_at);
  if (length > file.size() - dict_at) fail("the .npy header is truncated");
  NpyHeader header = DictReader(file.substr(dict_at, length), name).read();
  header.bytes = dict_at + length;
  return header;
}

std::string format_npy_header(const std::string& descr, const Shape& shape) {
  const std::string sizes =
      shape.size() == 1 ? fmt::format("{},", shape[0]) : fmt::format("{}", fmt::join(shape, ", "));
  std::string dict =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, sizes);
  const size_t before = kMagic.size() + kVersionBytes + sizeof(uint16_t);
  const size_t total = (before + dict.size() + 1 + 63) / 64 * 64;
  dict.resize(total - before - 1, ' ');
  dict += '\n';
  const auto length = static_cast<uint16_t>(dict.size());
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  return header + dict;
}

}  // namespace engine
