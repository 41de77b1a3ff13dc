// The parts of the ZIP format that .npz files use: members stored without compression.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace engine {

struct ZipMember {
  std::string name;
  std::string_view data;  ///< within the archive's bytes
};

/// The members in the order of the central directory, ZIP64 archives included. `path` is named in
/// messages. Throws Error(kInvalidArgument) for what is no such archive, and Error(kUnsupported)
/// for a compressed or encrypted member.
std::vector<ZipMember> list_zip(std::string_view bytes, const std::string& path);

}  // namespace engine
