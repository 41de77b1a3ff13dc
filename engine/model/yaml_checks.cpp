#include "engine/model/yaml_checks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/error.h"
#include "engine/model/nearest_name.h"
#include "engine/model/text.h"

namespace engine {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

void fail_at(const Place& place, const std::string& message) {
  throw Error(ErrorKind::kModel, fmt::format("{}: {}", to_string(place), message));
}

void fail_expected(const std::string& what, const std::string& expected, const YamlValue& found) {
  fail_at(found.place, fmt::format("{} must be {}, found {}", what, expected, describe(found)));
}

void reject_unknown_keys(const YamlValue& map, const std::vector<std::string>& known,
                         const std::string& title) {
  for (const YamlValue::Entry& entry : map.entries) {
    if (contains(known, entry.key)) continue;
    fail_at(entry.key_place,
            fmt::format("{}unknown key {}{}; known keys: {}", title, in_quotes(entry.key),
                        did_you_mean(entry.key, known), fmt::join(known, ", ")));
  }
}

const YamlValue& require_key(const YamlValue& map, const std::string& key,
                             const std::vector<std::string>& known, const std::string& title) {
  if (const YamlValue::Pointer found = map.find(key)) return *found;
  for (const YamlValue::Entry& entry : map.entries) {
    const std::string hint = contains(known, entry.key) ? "" : did_you_mean(entry.key, {key});
    if (hint.empty()) continue;
    fail_at(entry.key_place,
            fmt::format("{}missing key '{}', found {}{}", title, key, in_quotes(entry.key), hint));
  }
  fail_at(map.place, fmt::format("{}missing key '{}'", title, key));
}

std::string read_text(const YamlValue& value, const std::string& what) {
  if (value.kind != YamlValue::Kind::kScalar) fail_expected(what, "a text", value);
  if (value.text.empty()) fail_at(value.place, fmt::format("{} must not be empty", what));
  for (const char c : value.text) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) continue;
    fail_at(value.place, fmt::format("{} must have no control characters, found {}", what,
                                     in_quotes(value.text)));
  }
  return value.text;
}

std::string read_name(const YamlValue& value, const std::string& what) {
  std::string name = read_text(value, what);
  if (name.find(':') == std::string::npos) return name;
  fail_at(value.place, fmt::format("{} must have no colon, found {}", what, in_quotes(name)));
}

std::string read_name(const YamlValue::Entry& entry, const std::string& what) {
  YamlValue key;
  key.kind = YamlValue::Kind::kScalar;
  key.place = entry.key_place;
  key.text = entry.key;
  return read_name(key, what);
}

int64_t read_positive(const YamlValue& value, const std::string& what) {
  const std::optional<int64_t> number = as_integer(value);
  if (!number) fail_expected(what, "an integer", value);
  if (*number >= 1) return *number;
  fail_at(value.place, fmt::format("{} must be at least 1, found {}", what, *number));
}

}  // namespace engine
