#include "apps/engine/file_argument.h"

#include <algorithm>
#include <cctype>

namespace engine::cli {

FileArgument parse_file_argument(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || text.find('/') < equals) return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

bool has_extension(const std::string& path, const std::string& extension) {
  const auto same_letter = [](char wanted, char found) {
    return wanted == std::tolower(static_cast<unsigned char>(found));
  };
  return path.size() > extension.size() &&
         std::equal(extension.rbegin(), extension.rend(), path.rbegin(), same_letter);
}

}  // namespace engine::cli
