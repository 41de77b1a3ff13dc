#include "apps/engine/output_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "apps/engine/file_argument.h"
#include "engine/error.h"
#include "engine/model/nearest_name.h"
#include "engine/model/npy.h"

namespace engine::cli {
namespace {

OutputFile parse_output(const std::string& text, const std::vector<std::string>& names) {
  const auto [name, path] = parse_file_argument(text);
  if (has_extension(path, ".npz") && name.empty()) return {path, 0, true};
  if (name.empty()) {
    if (names.size() == 1) return {path, 0, false};
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("--output {0}: the model has {1} outputs ({2}); name one, as in "
                            "--output {3}={0}, or write all with --output FILE.npz",
                            path, names.size(), fmt::join(names, ", "), names[0]));
  }
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("--output {}: the model has no output '{}'{}; it gives {}", text, name,
                            did_you_mean(name, names), fmt::join(names, ", ")));
  }
  return {path, static_cast<int>(found - names.begin()), false};
}

}  // namespace

std::vector<OutputFile> parse_outputs(const std::vector<std::string>& arguments,
                                      const std::vector<std::string>& names) {
  std::vector<OutputFile> files;
  for (const std::string& argument : arguments) files.push_back(parse_output(argument, names));
  return files;
}

void write_outputs(const std::vector<OutputFile>& files, const std::vector<std::string>& names,
                   const std::vector<Tensor>& outputs) {
  for (const OutputFile& file : files) {
    if (!file.is_all) {
      write_npy(file.path, outputs[static_cast<size_t>(file.index)]);
      continue;
    }
    std::map<std::string, Tensor> by_name;
    for (size_t i = 0; i < names.size(); ++i) by_name.emplace(names[i], outputs[i]);
    write_npz(file.path, by_name);
  }
}

}  // namespace engine::cli
