// Writing ZIP archives of members stored without compression.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace engine {

struct ZipSource {
  std::string name;
  std::vector<std::string_view> parts;  ///< its bytes, one after another
};

/// Writes an archive in the ZIP64 format, whatever the sizes, atomically. Throws Error(kIo).
void write_zip(const std::string& path, const std::vector<ZipSource>& members);

}  // namespace engine
