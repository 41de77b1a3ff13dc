// Writing whole files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace engine {

/// Writes the parts one after another. Readers see the old file or the whole new one, never a part:
/// the bytes go to a temporary file beside it, which is then renamed. What is not a regular file
/// (a pipe, /dev/stdout) is written directly. Throws Error(kIo) with the path and the system's
/// reason.
void write_file(const std::string& path, const std::vector<std::string_view>& parts);

}  // namespace engine
