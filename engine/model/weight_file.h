// Weight files in the safetensors format, read by mapping them and written for `engine init`.
#pragma once

#include <map>
#include <string>

#include "engine/tensor.h"

namespace engine {

/// Tensors by name. Immutable.
class WeightFile {
 public:
  /// No tensors.
  WeightFile() = default;
  /// Maps a safetensors file and checks every field of its header before use: sizes, offsets,
  /// overlaps, overflow, dtypes, trailing bytes. f32, i32 and i64 tensors that are aligned borrow
  /// the mapping; f16, bf16 and f64 become f32. The file must not be cut short while it is in use;
  /// replacing it by renaming another is safe. Throws Error(kIo) or Error(kWeights).
  static WeightFile open(const std::string& path);
  /// Tensors from elsewhere; `path` says where from, in messages.
  static WeightFile from_tensors(std::string path, std::map<std::string, Tensor> tensors);

  const std::string& path() const { return path_; }
  /// The tensor, or null where there is none. Throws Error(kWeights) for one of a type that no
  /// layer takes, such as U8.
  const Tensor* find(const std::string& name) const;
  /// All tensors of a type that find() returns.
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

 private:
  std::string path_;
  std::map<std::string, Tensor> tensors_;
  std::map<std::string, std::string> unusable_;  // tensor names to dtypes
};

/// Writes tensors as safetensors, atomically (through a temporary
/// file that is renamed). Throws Error(kIo).
void write_weight_file(const std::string& path, const std::map<std::string, Tensor>& tensors);

}  // namespace engine
