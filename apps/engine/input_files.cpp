#include "apps/engine/input_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "apps/engine/file_argument.h"
#include "engine/error.h"
#include "engine/model/mapped_file.h"
#include "engine/model/nearest_name.h"
#include "engine/model/npy.h"
#include "engine/model/npy_header.h"
#include "engine/model/zip_archive.h"

namespace engine::cli {
namespace {

[[noreturn]] void reject(const std::string& message) {
  throw Error(ErrorKind::kInvalidArgument, message);
}

// Collects the tensors of a model's inputs from files.
class Reader {
 public:
  Reader(const ModelSpec& model, const Notify& notify)
      : model_(model), notify_(notify), tensors_(model.inputs.size()) {}

  void read_named(const std::string& name, const std::string& path) {
    const size_t index = index_of(name);
    if (has_extension(path, ".npz")) {
      reject(fmt::format("{}={}: a .npz holds inputs by name; give it without a name", name, path));
    }
    set(index, read_one(path, model_.inputs[index]), path);
  }

  void read_unnamed(const std::string& path) {
    if (has_extension(path, ".npz")) {
      const std::map<std::string, Tensor> arrays = read_npz(path);
      note_narrowed_members(path);
      for (const auto& [name, tensor] : arrays) {
        const std::string origin = fmt::format("{}: array '{}'", path, name);
        const std::optional<size_t> index = find(name);
        if (!index) reject(origin + ": " + no_such_input(name));
        set(*index, fit_tensor(tensor, model_.inputs[*index], origin, notify_), path);
      }
      return;
    }
    const auto free = std::find(tensors_.begin(), tensors_.end(), std::nullopt);
    if (free == tensors_.end()) {
      reject(fmt::format("{}: no input is left for it; the model takes {}", path, inputs_text()));
    }
    const auto index = static_cast<size_t>(free - tensors_.begin());
    set(index, read_one(path, model_.inputs[index]), path);
  }

  std::vector<Tensor> take() {
    std::vector<Tensor> all;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (!tensors_[i]) {
        reject(fmt::format("nothing for input '{0}' {1}; give it with --input {0}=FILE",
                           model_.inputs[i].name, declared_text(model_.inputs[i])));
      }
      all.push_back(*tensors_[i]);
    }
    return all;
  }

  std::optional<size_t> find(const std::string& name) const {
    for (size_t i = 0; i < model_.inputs.size(); ++i) {
      if (model_.inputs[i].name == name) return i;
    }
    return std::nullopt;
  }

 private:
  size_t index_of(const std::string& name) const {
    const std::optional<size_t> index = find(name);
    if (!index) reject(no_such_input(name));
    return *index;
  }

  std::string inputs_text() const {
    std::string text;
    for (const InputSpec& input : model_.inputs) {
      text += fmt::format("{}'{}' {}", text.empty() ? "" : ", ", input.name, declared_text(input));
    }
    return text;
  }

  std::string no_such_input(const std::string& name) const {
    std::vector<std::string> names;
    for (const InputSpec& input : model_.inputs) names.push_back(input.name);
    return fmt::format("the model has no input '{}', only {}{}", name, inputs_text(),
                       did_you_mean(name, names));
  }

  Tensor read_one(const std::string& path, const InputSpec& input) const {
    if (has_extension(path, ".npy")) {
      const Tensor tensor = read_npy(path);
      const MappedFile file(path);
      note_narrowed(contents(file), path);
      return fit_tensor(tensor, input, path, notify_);
    }
    return fit_audio(read_audio(path, notify_), input, path, notify_);
  }

  static std::string_view contents(const MappedFile& file) { return {file.data(), file.size()}; }

  // read_npy gives f32 for f64.
  void note_narrowed(std::string_view npy, const std::string& origin) const {
    if (parse_npy_header(npy, origin).descr == "<f8") {
      notify_(fmt::format("{}: converted from f64 to f32", origin));
    }
  }

  void note_narrowed_members(const std::string& path) const {
    const MappedFile file(path);
    for (const ZipMember& member : list_zip(contents(file), path)) {
      note_narrowed(member.data, fmt::format("{}: array '{}'", path, member.name));
    }
  }

  void set(size_t index, Tensor tensor, const std::string& path) {
    if (tensors_[index]) {
      reject(fmt::format("{}: input '{}' was given before", path, model_.inputs[index].name));
    }
    tensors_[index] = std::move(tensor);
  }

  const ModelSpec& model_;
  const Notify& notify_;
  std::vector<std::optional<Tensor>> tensors_;  // by input
};

// How many leading sizes of 1 make `shape` fit, or nothing where none do.
std::optional<size_t> missing_sizes(const Shape& shape, const std::vector<SizeSpec>& declared) {
  if (shape.size() > declared.size()) return std::nullopt;
  const size_t missing = declared.size() - shape.size();
  for (size_t d = 0; d < declared.size(); ++d) {
    const int64_t found = d < missing ? 1 : shape[d - missing];
    if (!declared[d].is_named() && declared[d].value != found) return std::nullopt;
  }
  return missing;
}

Tensor fit_dtype(const Tensor& tensor, const InputSpec& input, const std::string& origin,
                 const Notify& notify) {
  if (tensor.dtype() == input.dtype) return tensor;
  if (is_floating(tensor.dtype()) != is_floating(input.dtype)) {
    reject(fmt::format("{}: input '{}' expects {}, found {}", origin, input.name,
                       declared_text(input), to_string(tensor.spec())));
  }
  notify(fmt::format("{}: converted from {} to the {} that the model takes", origin,
                     to_string(tensor.dtype()), to_string(input.dtype)));
  try {
    return tensor.to(input.dtype);
  } catch (const Error& error) {  // an integer that does not fit
    throw Error(error.kind(), fmt::format("{}: {}", origin, error.what()));
  }
}

}  // namespace

Tensor fit_tensor(const Tensor& tensor, const InputSpec& input, const std::string& origin,
                  const Notify& notify) {
  const std::optional<size_t> missing = missing_sizes(tensor.shape(), input.shape);
  if (!missing) {
    reject(fmt::format("{}: input '{}' expects {}, found {}", origin, input.name,
                       declared_text(input), to_string(tensor.spec())));
  }
  const Tensor typed = fit_dtype(tensor, input, origin, notify);
  if (*missing == 0) return typed;
  Shape shape(*missing, 1);
  shape.insert(shape.end(), tensor.shape().begin(), tensor.shape().end());
  notify(
      fmt::format("{}: shape {} taken as {}", origin, to_string(tensor.shape()), to_string(shape)));
  return typed.reshape(shape);
}

std::vector<Tensor> read_inputs(const std::vector<std::string>& arguments, const ModelSpec& model,
                                const Notify& notify) {
  Reader reader(model, notify);
  // Names first, so that files without one find what is left.
  std::vector<std::string> unnamed;
  for (const std::string& argument : arguments) {
    const FileArgument file = parse_file_argument(argument);
    if (file.name.empty()) {
      unnamed.push_back(file.path);
    } else {
      reader.read_named(file.name, file.path);
    }
  }
  for (const std::string& path : unnamed) reader.read_unnamed(path);
  return reader.take();
}

}  // namespace engine::cli
