// read_model and parse_model: the keys of a model file, checked one by one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <unordered_map>

#include "engine/error.h"
#include "engine/model/layer_order.h"
#include "engine/model/mapped_file.h"
#include "engine/model/model_spec.h"
#include "engine/model/nearest_name.h"
#include "engine/model/text.h"
#include "engine/model/yaml_checks.h"
#include "engine/shape.h"

namespace engine {
namespace {

using Kind = YamlValue::Kind;

constexpr size_t kMaxModelBytes = 100'000'000;  // far above any model file
constexpr double kMaxSampleRate = 1e12;         // Hz; samples of a second are counted in 64 bits

const std::vector<std::string> kModelKeys = {"format", "name",   "weights", "inputs",
                                             "sizes",  "layers", "outputs", "labels"};
const std::vector<std::string> kInputKeys = {"dtype", "shape", "sample_rate"};
const std::vector<std::string> kLayerKeys = {"name", "type", "inputs"};
const std::vector<std::string> kDTypes = {"f32", "f16", "bf16", "i32", "i64"};

void expect_kind(const YamlValue& value, Kind kind, const std::string& what,
                 const std::string& expected) {
  if (value.kind != kind) fail_expected(what, expected, value);
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_identifier(const std::string& text) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto is_part = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  return !text.empty() && is_letter(text[0]) && std::all_of(text.begin(), text.end(), is_part);
}

DType read_dtype(const YamlValue& value) {
  const std::string name = read_text(value, "'dtype'");
  if (contains(kDTypes, name)) return parse_dtype(name);
  fail_at(value.place, fmt::format("unknown dtype {}{}; known dtypes: {}", in_quotes(name),
                                   did_you_mean(name, kDTypes), fmt::join(kDTypes, ", ")));
}

SizeSpec read_size(const YamlValue& value) {
  if (value.kind == Kind::kScalar && is_identifier(value.text)) return {value.text, 0};
  const std::optional<int64_t> size = as_integer(value);
  if (!size) fail_expected("a size in 'shape'", "an integer or a name such as length", value);
  if (*size >= 1) return {"", *size};
  fail_at(value.place, fmt::format("a size in 'shape' must be at least 1, found {}; one that "
                                   "varies has a name, such as length",
                                   *size));
}

double read_sample_rate(const YamlValue& value) {
  const std::optional<double> rate = as_number(value);
  if (rate && *rate > 0 && *rate <= kMaxSampleRate) return *rate;
  fail_expected("'sample_rate'", "a positive number of Hz, at most 1e12", value);
}

InputSpec read_input(const YamlValue::Entry& entry) {
  InputSpec input;
  input.name = read_name(entry, "the name of an input");
  input.place = entry.key_place;
  const YamlValue& value = *entry.value;
  const std::string what = fmt::format("input {}", in_quotes(input.name));
  expect_kind(value, Kind::kMap, what, "a map with dtype and shape");
  reject_unknown_keys(value, kInputKeys, what + ": ");
  const YamlValue& shape = require_key(value, "shape", kInputKeys, what + ": ");
  expect_kind(shape, Kind::kList, "'shape'", "a list of sizes and names");
  if (shape.items.empty()) fail_at(shape.place, "'shape' must have at least one size");
  for (const YamlValue::Pointer& size : shape.items) input.shape.push_back(read_size(*size));
  if (const auto dtype = value.find("dtype")) input.dtype = read_dtype(*dtype);
  if (const auto rate = value.find("sample_rate")) input.sample_rate = read_sample_rate(*rate);
  return input;
}

/// Reads one model; the members follow the order of the file's keys.
class ModelReader {
 public:
  ModelReader(YamlValue::Pointer root, const std::string& file) : root_(std::move(root)) {
    spec_.path = file;
  }

  ModelSpec read() {
    read_head();
    read_inputs();
    read_sizes();
    check_element_counts();
    read_layers();
    read_outputs();
    read_labels();
    order_layers(spec_.layers);
    return std::move(spec_);
  }

 private:
  void read_head() {
    if (root_->kind != Kind::kMap) {
      fail_at({spec_.path}, fmt::format("not a YAML map: found {}; expected the keys {}",
                                        describe(*root_), fmt::join(kModelKeys, ", ")));
    }
    const YamlValue& format = require_key(*root_, "format", kModelKeys, "");
    if (as_integer(format) != 1) fail_expected("'format'", "1", format);
    reject_unknown_keys(*root_, kModelKeys, "");
    const std::filesystem::path path = spec_.path;
    const auto name = root_->find("name");
    spec_.name = name ? read_text(*name, "'name'") : path.stem().string();
    if (const auto weights = root_->find("weights")) {
      spec_.weights_path = (path.parent_path() / read_text(*weights, "'weights'")).string();
    }
  }

  void read_inputs() {
    const YamlValue& inputs = require_key(*root_, "inputs", kModelKeys, "");
    expect_kind(inputs, Kind::kMap, "'inputs'", "a map from names to dtype and shape");
    if (inputs.entries.empty()) fail_at(inputs.place, "'inputs' must have at least one input");
    for (const YamlValue::Entry& entry : inputs.entries) {
      spec_.inputs.push_back(read_input(entry));
      places_[entry.key] = entry.key_place;
    }
  }

  void read_sizes() {
    const auto sizes = root_->find("sizes");
    if (!sizes) return;
    expect_kind(*sizes, Kind::kMap, "'sizes'", "a map from names to typical sizes");
    std::vector<std::string> known;
    for (const InputSpec& input : spec_.inputs) {
      for (const SizeSpec& size : input.shape) {
        if (size.is_named()) known.push_back(size.name);
      }
    }
    for (const YamlValue::Entry& entry : sizes->entries) {
      if (!contains(known, entry.key)) {
        fail_at(entry.key_place, fmt::format("no input has a size {}{}", in_quotes(entry.key),
                                             did_you_mean(entry.key, known)));
      }
      spec_.typical_sizes[entry.key] = read_positive(*entry.value, in_quotes(entry.key));
    }
  }

  // What fits 63 bits here need not be checked by all that computes with it.
  void check_element_counts() const {
    for (const InputSpec& input : spec_.inputs) {
      Shape shape;
      for (const SizeSpec& size : input.shape) {
        const auto typical = spec_.typical_sizes.find(size.name);
        const int64_t named = typical == spec_.typical_sizes.end() ? 1 : typical->second;
        shape.push_back(size.is_named() ? named : size.value);
      }
      try {
        element_count(shape);
      } catch (const Error& error) {
        fail_at(input.place, fmt::format("input {}: {}", in_quotes(input.name), error.what()));
      }
    }
  }

  void read_layers() {
    const YamlValue& layers = require_key(*root_, "layers", kModelKeys, "");
    expect_kind(layers, Kind::kList, "'layers'", "a list of maps");
    if (layers.items.empty()) fail_at(layers.place, "'layers' must have at least one layer");
    for (const auto& layer : layers.items) spec_.layers.push_back(read_layer(layer));
    // Only now are all names known that an input may refer to.
    for (size_t i = 0; i < layers.items.size(); ++i) {
      const auto inputs = layers.items[i]->find("inputs");
      spec_.layers[i].inputs =
          inputs ? read_layer_inputs(*inputs, spec_.layers[i]) : default_inputs(i);
    }
  }

  LayerSpec read_layer(const YamlValue::Pointer& value) {
    expect_kind(*value, Kind::kMap, "a layer", "a map with name and type");
    const YamlValue& name_value = require_key(*value, "name", kLayerKeys, "a layer: ");
    const std::string name = read_name(name_value, "the name of a layer");
    const std::string title = fmt::format("layer {}", in_quotes(name));
    const std::string type =
        read_text(require_key(*value, "type", kLayerKeys, title + ": "), "'type'");
    const auto [taken, is_new] = places_.emplace(name, name_value.place);
    if (!is_new) {
      fail_at(name_value.place, fmt::format("{}: the name is given twice; it stands in line {} "
                                            "already",
                                            title, taken->second.line));
    }
    const Attributes attributes(name, value);
    attributes.allow(kLayerKeys);
    return {name, type, {}, attributes, value->place};
  }

  std::vector<ValueRef> default_inputs(size_t index) const {
    const LayerSpec& layer = spec_.layers[index];
    if (index > 0) return {{spec_.layers[index - 1].name, layer.place}};
    if (spec_.inputs.size() == 1) return {{spec_.inputs[0].name, layer.place}};
    fail_at(layer.place, fmt::format("layer {}: missing key 'inputs'; the first layer of a model "
                                     "with {} inputs must say which it reads",
                                     in_quotes(layer.name), spec_.inputs.size()));
  }

  std::vector<ValueRef> read_layer_inputs(const YamlValue& value, const LayerSpec& layer) const {
    const std::string user = fmt::format("layer {}", in_quotes(layer.name));
    if (value.kind != Kind::kList) return {read_reference(value, user)};
    if (value.items.empty()) {
      fail_at(value.place, fmt::format("{}: 'inputs' must have at least one name", user));
    }
    std::vector<ValueRef> inputs;
    for (const auto& item : value.items) inputs.push_back(read_reference(*item, user));
    return inputs;
  }

  // "act1", or "split:1" for the second output; "split:0" is "split".
  ValueRef read_reference(const YamlValue& value, const std::string& user) const {
    const std::string text = read_text(value, fmt::format("{}: the name of a value", user));
    const size_t colon = text.find(':');
    const std::string name = text.substr(0, colon);
    if (places_.find(name) == places_.end()) {
      std::vector<std::string> known;
      for (const InputSpec& input : spec_.inputs) known.push_back(input.name);
      for (const LayerSpec& layer : spec_.layers) known.push_back(layer.name);
      fail_at(value.place, fmt::format("{}: no input or layer is called {}{}", user,
                                       in_quotes(name), did_you_mean(name, known)));
    }
    if (colon == std::string::npos) return {name, value.place};
    int output = -1;
    const auto [end, error] = std::from_chars(&text[colon] + 1, text.data() + text.size(), output);
    if (error != std::errc{} || end != text.data() + text.size() || output < 0) {
      fail_at(value.place, fmt::format("{}: {} must end in the number of an output, as in '{}:1'",
                                       user, in_quotes(text), name));
    }
    const auto is_it = [&](const InputSpec& input) { return input.name == name; };
    if (output > 0 && std::any_of(spec_.inputs.begin(), spec_.inputs.end(), is_it)) {
      fail_at(value.place, fmt::format("{}: {} is an input of the model, which has no further "
                                       "outputs; found {}",
                                       user, in_quotes(name), in_quotes(text)));
    }
    return {output == 0 ? name : fmt::format("{}:{}", name, output), value.place};
  }

  void read_outputs() {
    const auto outputs = root_->find("outputs");
    if (!outputs) {
      const LayerSpec& last = spec_.layers.back();
      spec_.outputs = {{"output", {last.name, last.place}}};
      return;
    }
    expect_kind(*outputs, Kind::kMap, "'outputs'", "a map from names to values");
    if (outputs->entries.empty())
      fail_at(outputs->place, "'outputs' must have at least one output");
    for (const YamlValue::Entry& entry : outputs->entries) {
      const std::string name = read_name(entry, "the name of an output");
      const std::string user = fmt::format("output {}", in_quotes(name));
      spec_.outputs.push_back({name, read_reference(*entry.value, user)});
    }
  }

  void read_labels() {
    const auto labels = root_->find("labels");
    if (!labels) return;
    expect_kind(*labels, Kind::kList, "'labels'", "a list of texts");
    for (const auto& label : labels->items) spec_.labels.push_back(read_text(*label, "a label"));
  }

  YamlValue::Pointer root_;
  ModelSpec spec_;
  std::unordered_map<std::string, Place> places_;  // of all inputs and layers, by name
};

}  // namespace

ModelSpec parse_model(const std::string& text, const std::string& file) {
  return ModelReader(parse_yaml(text, file), file).read();
}

ModelSpec read_model(const std::string& path) {
  const MappedFile file(path);
  if (file.size() > kMaxModelBytes) {
    throw Error(ErrorKind::kModel,
                fmt::format("{}: not a YAML map: {} bytes are too many for a model file", path,
                            file.size()));
  }
  return parse_model(std::string(file.data(), file.size()), path);
}

}  // namespace engine
