// Files that tests read.
#pragma once

#include <filesystem>

namespace engine::test {

/// `relative` to the root of the source tree; ENGINE_SOURCE_DIR in the environment names another
/// place for tests that run on another machine than the one that built them.
std::filesystem::path source_path(const std::filesystem::path& relative);

/// The built `engine` program; ENGINE_PROGRAM in the environment names another.
std::filesystem::path program_path();

}  // namespace engine::test
