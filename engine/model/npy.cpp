#include "engine/model/npy.h"

#include <fmt/format.h>

#include <deque>
#include <vector>

#include "engine/error.h"
#include "engine/model/bytes.h"
#include "engine/model/file_writer.h"
#include "engine/model/mapped_file.h"
#include "engine/model/npy_header.h"
#include "engine/model/text.h"
#include "engine/model/zip_archive.h"
#include "engine/model/zip_writer.h"

namespace engine {
namespace {

[[noreturn]] void fail(const std::string& name, const std::string& message) {
  throw Error(ErrorKind::kInvalidArgument, fmt::format("{}: {}", name, message));
}

// What becomes of an element type of NumPy's.
struct ElementType {
  const char* descr;
  int64_t bytes;
  DType dtype;
  void (*convert)(std::string_view source, Tensor& target);
};

template <typename Source, typename Target>
void convert(std::string_view source, Tensor& target) {
  convert_bytes<Source>(source, target.data<Target>(), target.elements());
}

constexpr ElementType kElementTypes[] = {
    {"<f4", 4, DType::kF32, convert<float, float>},
    {"<f8", 8, DType::kF32, convert<double, float>},
    {"<f2", 2, DType::kF16, convert<Half, Half>},
    {"<i4", 4, DType::kI32, convert<int32_t, int32_t>},
    {"<i8", 8, DType::kI64, convert<int64_t, int64_t>},
    {"<i2", 2, DType::kI32, convert<int16_t, int32_t>},
    {"|u1", 1, DType::kI32, convert<uint8_t, int32_t>},
    {"|b1", 1, DType::kI32, convert<uint8_t, int32_t>},
};

const ElementType& find_element_type(const std::string& descr, const std::string& name) {
  for (const ElementType& type : kElementTypes) {
    if (descr == type.descr) return type;
  }
  if (!descr.empty() && descr[0] == '>') {
    fail(name, fmt::format("elements {} are big-endian; save the array as little-endian",
                           in_quotes(descr)));
  }
  fail(name, fmt::format("elements of type {}; expected f2, f4, f8, i2, i4, i8, u1 or bool",
                         in_quotes(descr)));
}

// Copies a Fortran-ordered array (first dimension fastest) into C order.
std::vector<char> to_c_order(std::string_view source, const Shape& shape, size_t element_bytes) {
  std::vector<char> target(source.size());
  std::vector<size_t> index(shape.size());
  std::vector<size_t> stride(shape.size());  // of the source, in bytes
  size_t next = element_bytes;
  for (size_t d = 0; d < shape.size(); ++d) {
    stride[d] = next;
    next *= static_cast<size_t>(shape[d]);
  }
  size_t from = 0;
  for (size_t to = 0; to < target.size(); to += element_bytes) {
    std::memcpy(&target[to], &source[from], element_bytes);
    for (size_t d = shape.size(); d-- > 0;) {  // the next index, last dimension fastest
      from += stride[d];
      if (++index[d] < static_cast<size_t>(shape[d])) break;
      from -= stride[d] * index[d];
      index[d] = 0;
    }
  }
  return target;
}

int64_t count_bytes(const NpyHeader& header, const ElementType& type, const std::string& name) {
  try {
    return element_count(header.shape) * type.bytes;
  } catch (const Error& error) {
    fail(name, error.what());
  }
}

Tensor parse_npy(std::string_view file, const std::string& name) {
  const NpyHeader header = parse_npy_header(file, name);
  const ElementType& type = find_element_type(header.descr, name);
  const std::string_view data = file.substr(header.bytes);
  const auto needed = static_cast<size_t>(count_bytes(header, type, name));
  if (data.size() < needed) {
    fail(name, fmt::format("{} of {} take {} bytes, but the file holds {}; the file is truncated",
                           to_string(header.shape), type.descr, needed, data.size()));
  }
  if (data.size() > needed) {
    fail(name, fmt::format("{} bytes after the end of the array", data.size() - needed));
  }
  Tensor tensor = Tensor::empty(header.shape, type.dtype);
  if (header.fortran_order && header.shape.size() > 1) {
    const std::vector<char> ordered =
        to_c_order(data, header.shape, static_cast<size_t>(type.bytes));
    type.convert({ordered.data(), ordered.size()}, tensor);
  } else {
    type.convert(data, tensor);
  }
  return tensor;
}

const char* descr_of(DType dtype) {
  for (const ElementType& type : kElementTypes) {
    if (type.dtype == dtype) return type.descr;
  }
  return "?";
}

// A tensor as the bytes of a .npy file.
class NpyFile {
 public:
  explicit NpyFile(const Tensor& tensor) : host_(tensor.to(Device::cpu())) {
    if (host_.dtype() == DType::kBF16) host_ = host_.to(DType::kF32);
    header_ = format_npy_header(descr_of(host_.dtype()), host_.shape());
  }

  /// Valid as long as this object stays where it is.
  std::vector<std::string_view> parts() const {
    return {header_, {static_cast<const char*>(host_.raw()), static_cast<size_t>(host_.bytes())}};
  }

 private:
  Tensor host_;
  std::string header_;
};

std::string_view bytes_of(const MappedFile& file) { return {file.data(), file.size()}; }

}  // namespace

Tensor read_npy(const std::string& path) {
  const MappedFile file(path);
  return parse_npy(bytes_of(file), path);
}

std::map<std::string, Tensor> read_npz(const std::string& path) {
  const MappedFile file(path);
  std::map<std::string, Tensor> tensors;
  for (const ZipMember& member : list_zip(bytes_of(file), path)) {
    const size_t dot = member.name.rfind(".npy");
    if (dot == std::string::npos || dot + 4 != member.name.size()) {
      fail(path, fmt::format("member {} is no .npy", in_quotes(member.name)));
    }
    const Tensor tensor =
        parse_npy(member.data, fmt::format("{}: member {}", path, in_quotes(member.name)));
    if (!tensors.emplace(member.name.substr(0, dot), tensor).second) {
      fail(path, fmt::format("member {} is there twice", in_quotes(member.name)));
    }
  }
  return tensors;
}

void write_npy(const std::string& path, const Tensor& tensor) {
  const NpyFile file(tensor);
  write_file(path, file.parts());
}

void write_npz(const std::string& path, const std::map<std::string, Tensor>& tensors) {
  std::deque<NpyFile> files;  // a deque keeps what the parts refer to in place
  std::vector<ZipSource> members;
  for (const auto& [name, tensor] : tensors) {
    files.emplace_back(tensor);
    members.push_back({name + ".npy", files.back().parts()});
  }
  write_zip(path, members);
}

}  // namespace engine
