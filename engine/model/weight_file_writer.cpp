#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/model/bytes.h"
#include "engine/model/file_writer.h"
#include "engine/model/weight_file.h"

namespace engine {
namespace {

const char* stored_name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kF16:
      return "F16";
    case DType::kBF16:
      return "BF16";
    case DType::kI32:
      return "I32";
    case DType::kI64:
      return "I64";
  }
  return "?";
}

}  // namespace

void write_weight_file(const std::string& path, const std::map<std::string, Tensor>& tensors) {
  // The widest elements first, so that all lie aligned without gaps between them.
  std::vector<std::pair<std::string, Tensor>> ordered;
  for (const auto& [name, tensor] : tensors) ordered.emplace_back(name, tensor.to(Device::cpu()));
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    return size_of(a.second.dtype()) > size_of(b.second.dtype());
  });
  nlohmann::json header = nlohmann::json::object();
  std::vector<std::string_view> parts(2);
  int64_t offset = 0;
  for (const auto& [name, tensor] : ordered) {
    header[name] = {{"dtype", stored_name(tensor.dtype())},
                    {"shape", tensor.shape()},
                    {"data_offsets", {offset, offset + tensor.bytes()}}};
    parts.emplace_back(static_cast<const char*>(tensor.raw()), static_cast<size_t>(tensor.bytes()));
    offset += tensor.bytes();
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data begin at a multiple of 8
  const uint64_t length = text.size();
  parts[0] = {reinterpret_cast<const char*>(&length), sizeof(length)};
  parts[1] = text;
  write_file(path, parts);
}

}  // namespace engine
