// FILE or NAME=FILE, as --input and --output take them.
#pragma once

#include <string>

namespace engine::cli {

struct FileArgument {
  std::string name;  ///< empty where none is given
  std::string path;
};

/// A "=" behind a "/" belongs to the path: "runs/lr=3/x.npy" has no name.
FileArgument parse_file_argument(const std::string& text);

/// Whether `path` ends in `extension` (lower case, with its dot), in whatever case.
bool has_extension(const std::string& path, const std::string& extension);

}  // namespace engine::cli
