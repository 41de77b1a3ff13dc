// A parsed YAML document as plain data that remembers where everything stands.
#pragma once

#include <memory>
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
  std::string text;    // kScalar
  bool quoted = false; // kScalar: written in quotes, so never a number or a boolean
  std::vector<Pointer> items;   // kList
  std::vector<Entry> entries;   // kMap, in file order, keys unique

  /// The value under `key`, or null.
  Pointer find(const std::string& key) const;
};

/// "a map", "a list", "the number 3", "the text 'abc'": for messages.
std::string describe(const YamlValue& value);

/// Parses one document. Throws Error(kModel) with its place for bad syntax or a repeated key.
YamlValue::Pointer parse_yaml(const std::string& text, const std::string& file);

}  // namespace engine
