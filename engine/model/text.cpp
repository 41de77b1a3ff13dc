#include "engine/model/text.h"

#include <fmt/format.h>

#include <cstdint>

namespace engine {
namespace {

constexpr size_t kLongest = 60;  // bytes of a text that a message repeats

uint8_t byte_at(const std::string& text, size_t i) { return static_cast<uint8_t>(text[i]); }

// 10xxxxxx: a byte inside a UTF-8 sequence.
bool is_continuation(uint8_t byte) { return (byte & 0xc0u) == 0x80u; }

// Bytes of the well-formed UTF-8 sequence at `i` (Unicode 15, table 3-7), or 0 where there is none.
size_t sequence_length(const std::string& text, size_t i) {
  const uint8_t lead = byte_at(text, i);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (i + length > text.size()) return 0;
  for (size_t k = 1; k < length; ++k) {
    if (!is_continuation(byte_at(text, i + k))) return 0;
  }
  const uint8_t second = byte_at(text, i + 1);
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool surrogate = lead == 0xed && second > 0x9f;
  const bool too_large = lead == 0xf4 && second > 0x8f;
  return overlong || surrogate || too_large ? 0 : length;
}

}  // namespace

std::string in_quotes(const std::string& text) {
  std::string result = "'";
  for (size_t i = 0; i < text.size();) {
    const size_t length = sequence_length(text, i);
    if (i + length > kLongest) return result + "...'";
    if (byte_at(text, i) == '\n') {
      result += "\\n";
    } else if (length == 0 || byte_at(text, i) < 0x20 || byte_at(text, i) == 0x7f) {
      result += fmt::format("\\x{:02x}", byte_at(text, i));
    } else {
      result += text.substr(i, length);
    }
    i += length == 0 ? 1 : length;
  }
  return result + "'";
}

size_t first_non_text_byte(const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const uint8_t byte = byte_at(text, i);
    const size_t length = sequence_length(text, i);
    const bool is_space = byte == '\t' || byte == '\n' || byte == '\r';
    if (length == 0 || byte == 0x7f || (byte < 0x20 && !is_space)) return i;
    i += length;
  }
  return std::string::npos;
}

}  // namespace engine
