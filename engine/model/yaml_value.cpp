#include "engine/model/yaml_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include "engine/model/text.h"

namespace engine {
namespace {

bool is_plain(const YamlValue& value) {
  return value.kind == YamlValue::Kind::kScalar && !value.quoted;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The text as from_chars reads it, which knows no plus sign.
std::string_view without_plus(const std::string& text) {
  std::string_view view = text;
  if (view.size() > 1 && view[0] == '+' && view[1] != '-') view.remove_prefix(1);
  return view;
}

}  // namespace

std::string to_string(const Place& place) {
  if (place.line == 0) return place.file;
  return fmt::format("{}:{}:{}", place.file, place.line, place.column);
}

YamlValue::Pointer YamlValue::find(const std::string& key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return entry.value;
  }
  return nullptr;
}

std::string describe(const YamlValue& value) {
  switch (value.kind) {
    case YamlValue::Kind::kNull:
      return "nothing";
    case YamlValue::Kind::kList:
      return "a list";
    case YamlValue::Kind::kMap:
      return "a map";
    case YamlValue::Kind::kScalar:
      break;
  }
  if (as_number(value)) return fmt::format("the number {}", value.text);
  if (as_boolean(value)) return fmt::format("the boolean {}", value.text);
  return fmt::format("the text {}", in_quotes(value.text));
}

std::optional<int64_t> as_integer(const YamlValue& value) {
  if (!is_plain(value)) return std::nullopt;
  const std::string_view text = without_plus(value.text);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
  if (error != std::errc{} || end != text.end()) return std::nullopt;
  // 010 is eight to YAML 1.1 and ten to YAML 1.2, so it is neither here.
  const size_t first = text[0] == '-' ? 1 : 0;
  if (text.size() > first + 1 && text[first] == '0') return std::nullopt;
  return number;
}

std::optional<double> as_number(const YamlValue& value) {
  if (!is_plain(value)) return std::nullopt;
  const std::string_view text = without_plus(value.text);
  const size_t first = !text.empty() && text[0] == '-' ? 1 : 0;
  // from_chars reads words such as "inf" as well; in a model file they are texts.
  if (first >= text.size() || !(is_digit(text[first]) || text[first] == '.')) return std::nullopt;
  double number = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
  if (end != text.end() || error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range) return HUGE_VAL;
  return number;
}

std::optional<bool> as_boolean(const YamlValue& value) {
  static constexpr std::array<std::string_view, 9> kTrue = {"true", "True", "TRUE", "yes", "Yes",
                                                            "YES",  "on",   "On",   "ON"};
  static constexpr std::array<std::string_view, 9> kFalse = {"false", "False", "FALSE", "no", "No",
                                                             "NO",    "off",   "Off",   "OFF"};
  if (!is_plain(value)) return std::nullopt;
  if (std::find(kTrue.begin(), kTrue.end(), value.text) != kTrue.end()) return true;
  if (std::find(kFalse.begin(), kFalse.end(), value.text) != kFalse.end()) return false;
  return std::nullopt;
}

}  // namespace engine
