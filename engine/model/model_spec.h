// ModelSpec: a model file as data, before any layer is built.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/attributes.h"
#include "engine/dtype.h"
#include "engine/model/yaml_value.h"

namespace engine {

/// A size of a declared input: a number, or a name that may stand for another number each run.
struct SizeSpec {
  std::string name;  ///< empty for a fixed size
  int64_t value = 0;
  bool is_named() const { return !name.empty(); }
};

struct InputSpec {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<SizeSpec> shape;
  std::optional<double> sample_rate;  ///< Hz, of the length dimension
  Place place;
};

/// A use of a value by name: an input, a layer's (first) output, or "split:1" for a further one,
/// which the layer need not have.
struct ValueRef {
  std::string name;
  Place place;
};

struct LayerSpec {
  std::string name;
  std::string type;
  std::vector<ValueRef> inputs;  ///< resolved: never empty
  Attributes attributes;         ///< all keys but name, type and inputs
  Place place;
};

struct OutputSpec {
  std::string name;
  ValueRef value;
};

struct ModelSpec {
  std::string name;
  std::string path;          ///< of the model file, "" for text
  std::string weights_path;  ///< absolute or relative to the working directory; "" for none
  std::vector<InputSpec> inputs;
  std::map<std::string, int64_t> typical_sizes;  ///< `sizes`: used by info, bench and init
  std::vector<LayerSpec> layers;  ///< each after those it reads from; else in file order
  std::vector<OutputSpec> outputs;
  std::vector<std::string> labels;
};

/// Reads and checks a model file. Throws Error(kIo) or Error(kModel), with file:line:column.
ModelSpec read_model(const std::string& path);

/// The same from text; `file` is named in messages, and weights are looked for beside it.
ModelSpec parse_model(const std::string& text, const std::string& file);

}  // namespace engine
