#include "tests/support/paths.h"

#include <cstdlib>

namespace engine::test {

std::filesystem::path source_path(const std::filesystem::path& relative) {
  const char* root = std::getenv("ENGINE_SOURCE_DIR");
  return std::filesystem::path(root ? root : ENGINE_SOURCE_DIR) / relative;
}

std::filesystem::path program_path() {
  const char* program = std::getenv("ENGINE_PROGRAM");
  return program ? program : ENGINE_PROGRAM;
}

}  // namespace engine::test
