// Attributes: what a model file says of one layer, read by key and checked on the way.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace engine {

struct YamlValue;  // a parsed YAML value with its place; engine/model/yaml_value.h

/// The keys and values of one layer of a model file. Every getter checks type and range and throws
/// Error(kModel) with file:line:column, what was found and what was expected. Keys that no getter
/// asked for are reported by reject_unused(), with the nearest known key.
/// Not thread-safe: it is used while a model loads.
class Attributes {
 public:
  /// `value` must be a YAML map; `layer` is the layer's name, used in messages.
  Attributes(std::string layer, std::shared_ptr<const YamlValue> value);
  /// Reads "{out_channels: 4, kernel_size: 3}": for tests and layers built in code.
  static Attributes parse(const std::string& yaml);

  const std::string& layer() const;
  bool has(const std::string& key) const;

  /// An integer. Without a fallback the key is required.
  int64_t integer(const std::string& key) const;
  int64_t integer(const std::string& key, int64_t fallback) const;
  /// An integer of at least 1.
  int64_t positive(const std::string& key) const;
  int64_t positive(const std::string& key, int64_t fallback) const;
  std::optional<int64_t> optional_positive(const std::string& key) const;
  /// An integer of at least 0.
  int64_t non_negative(const std::string& key, int64_t fallback) const;
  /// A list of integers; one integer counts as a list of one.
  std::vector<int64_t> integers(const std::string& key) const;
  /// A finite number.
  double number(const std::string& key) const;
  double number(const std::string& key, double fallback) const;
  bool boolean(const std::string& key, bool fallback) const;
  /// A text out of `choices`; an error names the nearest one.
  std::string choice(const std::string& key, const std::vector<std::string>& choices,
                     const std::string& fallback) const;
  /// True where the key holds a plain text that is not a number: `padding: same`.
  bool is_text(const std::string& key) const;
  /// True where the key holds a list: `padding: [1, 2]`.
  bool is_list(const std::string& key) const;

  /// Throws Error(kModel) that points at the key's value (or at the layer where the key is absent).
  [[noreturn]] void fail(const std::string& key, const std::string& message) const;
  /// Marks keys as known without reading them.
  void allow(const std::vector<std::string>& keys) const;
  /// Throws Error(kModel) for the first key that no getter asked for.
  void reject_unused() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace engine
