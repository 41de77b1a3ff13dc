#include "tests/support/paths.h"

#include <cstdlib>

namespace engine::test {

std::filesystem::path source_path(const std::filesystem::path& relative) {
  const char* root = std::getenv("ENGINE_SOURCE_DIR");
  return std::filesystem::path(root ? root : ENGINE_SOURCE_DIR) / relative;
}

}  // namespace engine::test
