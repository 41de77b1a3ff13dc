// The safetensors format: 8 bytes with the header's length, the header (a JSON object from tensor
// names to dtype, shape and data_offsets), and the tensors' bytes, which the offsets count from
// their start and cover without gap or overlap. https://github.com/huggingface/safetensors
#include "engine/model/weight_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "engine/error.h"
#include "engine/model/bytes.h"
#include "engine/model/mapped_file.h"
#include "engine/model/text.h"

namespace engine {
namespace {

using Json = nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own library
constexpr int kMaxDepth = 4;                       // the format needs 3

struct StoredType {
  const char* name;
  size_t bytes;
};
constexpr StoredType kStoredTypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
    {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
    {"F32", 4},  {"I64", 8}, {"U64", 8}, {"F64", 8},     {"C64", 8},
};

// One entry of the header. Offsets count from the end of the header.
struct Entry {
  std::string name;
  StoredType type;
  Shape shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

class Reader {
 public:
  explicit Reader(const std::string& path)
      : path_(path),
        file_(std::make_shared<MappedFile>(path)),
        bytes_(file_->data(), file_->size()) {}

  /// Every tensor's entry, checked, in the order of the data.
  std::vector<Entry> read_entries() {
    const Json header = parse_header(read_header());
    std::vector<Entry> entries;
    for (const auto& [name, fields] : header.items()) {
      if (name == "__metadata__") {
        check_metadata(fields);
      } else {
        entries.push_back(read_entry(name, fields));
      }
    }
    check_coverage(entries);
    return entries;
  }

  /// The tensor as the library computes with it; undefined for a type that no layer takes.
  std::optional<Tensor> load(const Entry& entry) const {
    const std::string_view type = entry.type.name;
    if (type == "F32") return borrow(entry, DType::kF32);
    if (type == "F16") return borrow(entry, DType::kF16).to(DType::kF32);
    if (type == "BF16") return borrow(entry, DType::kBF16).to(DType::kF32);
    if (type == "I32") return borrow(entry, DType::kI32);
    if (type == "I64") return borrow(entry, DType::kI64);
    if (type != "F64") return std::nullopt;
    Tensor tensor = Tensor::empty(entry.shape);
    convert_bytes<double>(data_of(entry), tensor.data<float>(), tensor.elements());
    return tensor;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorKind::kWeights, fmt::format("{}: {}", path_, message));
  }
  [[noreturn]] void fail(const std::string& tensor, const std::string& message) const {
    fail(fmt::format("tensor {}: {}", in_quotes(tensor), message));
  }

  std::string_view read_header() {
    if (bytes_.size() < kLengthBytes) {
      fail(fmt::format("not a safetensors file: it holds {} bytes, expected at least 8",
                       bytes_.size()));
    }
    const auto length = read_at<uint64_t>(bytes_, 0);
    if (length > kMaxHeaderBytes) {
      fail(
          fmt::format("not a safetensors file: it begins with a header length of {} bytes, "
                      "expected at most {}; safetensors.torch.save_file writes such files",
                      length, kMaxHeaderBytes));
    }
    if (length > bytes_.size() - kLengthBytes) {
      fail(fmt::format("the header ends at byte {}, but the file holds {}; the file is truncated",
                       kLengthBytes + length, bytes_.size()));
    }
    data_begin_ = kLengthBytes + length;
    return bytes_.substr(kLengthBytes, length);
  }

  // Rejects what a JSON parser lets pass: repeated keys and deep nesting.
  Json parse_header(std::string_view text) const {
    std::vector<std::set<std::string>> keys;  // of the objects that are open
    const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
      if (depth > kMaxDepth) fail("the header is nested too deeply");
      if (event == Json::parse_event_t::object_start) keys.emplace_back();
      if (event == Json::parse_event_t::object_end) keys.pop_back();
      if (event == Json::parse_event_t::key) {
        const std::string key = value.get<std::string>();
        if (!keys.back().insert(key).second) {
          fail(fmt::format("the header has the key {} twice", in_quotes(key)));
        }
      }
      return true;
    };
    try {
      Json header = Json::parse(text.begin(), text.end(), check);
      if (!header.is_object()) fail("the header is not a JSON object");
      return header;
    } catch (const Json::parse_error& error) {
      fail(fmt::format("the header is not valid JSON at its byte {}", error.byte));
    } catch (const Json::exception&) {
      fail("the header is not valid JSON");
    }
  }

  void check_metadata(const Json& fields) const {
    const auto is_text = [](const Json& value) { return value.is_string(); };
    if (!fields.is_object() || !std::all_of(fields.begin(), fields.end(), is_text)) {
      fail("__metadata__ in the header must be a map of texts");
    }
  }

  Entry read_entry(const std::string& name, const Json& fields) const {
    if (!fields.is_object()) {
      fail(name, "the header must give an object with dtype, shape and data_offsets");
    }
    Entry entry;
    entry.name = name;
    entry.type = read_type(name, fields);
    for (const uint64_t size : read_integers(name, fields, "shape")) {
      if (size > INT64_MAX) fail(name, fmt::format("size {} in the shape is too large", size));
      entry.shape.push_back(static_cast<int64_t>(size));
    }
    const std::vector<uint64_t> offsets = read_integers(name, fields, "data_offsets");
    if (offsets.size() != 2) {
      fail(name, fmt::format("data_offsets must be two numbers, found {}", offsets.size()));
    }
    entry.begin = offsets[0];
    entry.end = offsets[1];
    check_extent(entry);
    return entry;
  }

  StoredType read_type(const std::string& name, const Json& fields) const {
    const auto found = fields.find("dtype");
    if (found == fields.end() || !found->is_string()) fail(name, "dtype must be a text");
    const std::string& text = found->get_ref<const std::string&>();
    for (const StoredType& type : kStoredTypes) {
      if (text == type.name) return type;
    }
    fail(name, fmt::format("unknown dtype {}", in_quotes(text)));
  }

  std::vector<uint64_t> read_integers(const std::string& name, const Json& fields,
                                      const char* key) const {
    const auto found = fields.find(key);
    const auto is_size = [](const Json& value) { return value.is_number_unsigned(); };
    if (found == fields.end() || !found->is_array() ||
        !std::all_of(found->begin(), found->end(), is_size)) {
      fail(name, fmt::format("{} must be a list of integers of at least 0", key));
    }
    return found->get<std::vector<uint64_t>>();
  }

  void check_extent(const Entry& entry) const {
    if (entry.begin > entry.end) {
      fail(entry.name, fmt::format("data_offsets [{}, {}] run backwards", entry.begin, entry.end));
    }
    if (entry.end > bytes_.size() - data_begin_) {
      fail(entry.name, fmt::format("data ends at byte {}, but the file has {} bytes of data; the "
                                   "file is truncated",
                                   entry.end, bytes_.size() - data_begin_));
    }
    int64_t needed = 0;
    try {
      needed = element_count(entry.shape) * static_cast<int64_t>(entry.type.bytes);
    } catch (const Error& error) {
      fail(entry.name, error.what());
    }
    if (static_cast<uint64_t>(needed) != entry.end - entry.begin) {
      fail(entry.name,
           fmt::format("{} {} takes {} bytes, but data_offsets span {}", entry.type.name,
                       to_string(entry.shape), needed, entry.end - entry.begin));
    }
  }

  void check_coverage(std::vector<Entry>& entries) const {
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t covered = 0;
    const Entry* last = nullptr;
    for (const Entry& entry : entries) {
      if (entry.begin < covered) {
        fail(entry.name, fmt::format("its data overlap those of {}", in_quotes(last->name)));
      }
      if (entry.begin > covered) {
        fail(fmt::format("{} bytes before tensor {} belong to no tensor", entry.begin - covered,
                         in_quotes(entry.name)));
      }
      covered = entry.end;
      last = &entry;
    }
    const uint64_t data_bytes = bytes_.size() - data_begin_;
    if (covered < data_bytes) {
      fail(fmt::format("the last {} bytes belong to no tensor", data_bytes - covered));
    }
  }

  std::string_view data_of(const Entry& entry) const {
    return bytes_.substr(data_begin_ + entry.begin, entry.end - entry.begin);
  }

  // The mapped bytes themselves where they are aligned, else a copy.
  Tensor borrow(const Entry& entry, DType dtype) const {
    const std::string_view data = data_of(entry);
    if (reinterpret_cast<uintptr_t>(data.data()) % size_of(dtype) == 0) {
      return Tensor::share(file_, const_cast<char*>(data.data()), entry.shape, dtype);
    }
    Tensor copy = Tensor::empty(entry.shape, dtype);
    std::memcpy(copy.raw(), data.data(), data.size());
    return copy;
  }

  std::string path_;
  std::shared_ptr<MappedFile> file_;
  std::string_view bytes_;
  uint64_t data_begin_ = 0;
};

}  // namespace

WeightFile WeightFile::open(const std::string& path) {
  Reader reader(path);
  WeightFile file;
  file.path_ = path;
  for (const Entry& entry : reader.read_entries()) {
    if (const std::optional<Tensor> tensor = reader.load(entry)) {
      file.tensors_.emplace(entry.name, *tensor);
    } else {
      file.unusable_.emplace(entry.name, entry.type.name);
    }
  }
  return file;
}

WeightFile WeightFile::from_tensors(std::string path, std::map<std::string, Tensor> tensors) {
  WeightFile file;
  file.path_ = std::move(path);
  file.tensors_ = std::move(tensors);
  return file;
}

const Tensor* WeightFile::find(const std::string& name) const {
  if (const auto found = tensors_.find(name); found != tensors_.end()) return &found->second;
  const auto unusable = unusable_.find(name);
  if (unusable == unusable_.end()) return nullptr;
  throw Error(ErrorKind::kWeights,
              fmt::format("{}: tensor {} has dtype {}, which no layer takes; expected F32, F16, "
                          "BF16, F64, I32 or I64",
                          path_, in_quotes(name), unusable->second));
}

}  // namespace engine
