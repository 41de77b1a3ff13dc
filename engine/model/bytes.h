// Numbers out of the bytes of a file, at any alignment. All formats read here are little-endian.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace engine {

static_assert(std::endian::native == std::endian::little,
              "the file formats are read without swapping bytes");

/// The T that begins at `offset`. REQUIRES: it lies within `bytes`.
template <typename T>
T read_at(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

/// Converts `count` elements that lie one after another in `bytes`.
template <typename Source, typename Target>
void convert_bytes(std::string_view bytes, Target* target, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    target[i] =
        static_cast<Target>(read_at<Source>(bytes, static_cast<size_t>(i) * sizeof(Source)));
  }
}

}  // namespace engine
