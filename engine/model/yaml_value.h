// A parsed YAML document as plain data that remembers where everything stands.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace engine {

/// file:line:column, 1-based; line 0 for text that has no place.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
};

/// "models/a.yaml:3:7".
std::string to_string(const Place& place);

/// One YAML value. Scalars keep their text; interpretation is the reader's.
struct YamlValue {
  enum class Kind { kNull, kScalar, kList, kMap };
  using Pointer = std::shared_ptr<const YamlValue>;
  struct Entry {
    std::string key;
    Place key_place;
    Pointer value;
  };

  Kind kind = Kind::kNull;
  Place place;
  std::string text;            // kScalar
  bool quoted = false;         // kScalar: written in quotes, so never a number or a boolean
  std::vector<Pointer> items;  // kList
  std::vector<Entry> entries;  // kMap, in file order, keys unique

  /// The value under `key`, or null.
  Pointer find(const std::string& key) const;
};

/// "a map", "a list", "the number 3", "the text 'abc'", "nothing": for messages.
std::string describe(const YamlValue& value);

/// An unquoted decimal integer that fits 64 bits.
std::optional<int64_t> as_integer(const YamlValue& value);

/// An unquoted decimal number, an integer included: 3, -0.5, 1e-5. Infinite where it is out of the
/// range of a double.
std::optional<double> as_number(const YamlValue& value);

/// An unquoted true, false, yes, no, on or off (YAML 1.1).
std::optional<bool> as_boolean(const YamlValue& value);

/// Parses one document; an empty one is kNull. Throws Error(kModel) with its place for bad syntax,
/// a repeated key, a second document or deep nesting, and for a file that is not text.
YamlValue::Pointer parse_yaml(const std::string& text, const std::string& file);

}  // namespace engine
