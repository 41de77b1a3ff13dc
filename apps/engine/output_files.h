// The files of --output.
#pragma once

#include <string>
#include <vector>

#include "engine/tensor.h"

namespace engine::cli {

/// One argument of --output: where one output goes as .npy, or all as .npz.
struct OutputFile {
  std::string path;
  int index = 0;        ///< of the model's output
  bool is_all = false;  ///< .npz
};

/// Reads FILE.npy (of a model with one output), NAME=FILE.npy and FILE.npz. `names` are the model's
/// outputs. Throws Error(kInvalidArgument).
std::vector<OutputFile> parse_outputs(const std::vector<std::string>& arguments,
                                      const std::vector<std::string>& names);

/// Throws Error(kIo).
void write_outputs(const std::vector<OutputFile>& files, const std::vector<std::string>& names,
                   const std::vector<Tensor>& outputs);

}  // namespace engine::cli
