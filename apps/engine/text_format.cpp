#include "apps/engine/text_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace engine::cli {
namespace {

constexpr const char* kPrefixes[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
constexpr int kUnitPrefix = 3;
constexpr int kLastPrefix = 9;
constexpr size_t kLabelWidth = 17;
constexpr size_t kLineWidth = 98;

}  // namespace

std::string si(double value, const std::string& unit) {
  if (value == 0.0) return unit.empty() ? "0" : "0 " + unit;
  int prefix = kUnitPrefix;
  // 999.5 would print as "1e+03" with three digits.
  for (; std::abs(value) >= 999.5 && prefix < kLastPrefix; ++prefix) value /= 1000.0;
  for (; std::abs(value) < 0.9995 && prefix > 0; --prefix) value *= 1000.0;
  const bool whole_units = prefix == kUnitPrefix && value == std::floor(value);
  const int decimals = whole_units || std::abs(value) >= 99.95 ? 0
                       : std::abs(value) >= 9.995              ? 1
                                                               : 2;
  const std::string suffix = kPrefixes[prefix] + unit;
  return fmt::format("{:.{}f}{}{}", value, decimals, suffix.empty() ? "" : " ", suffix);
}

std::string rounded(double value) {
  if (value >= 999.5) return grouped(std::llround(value));
  return fmt::format("{:.{}f}", value, value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2);
}

std::string grouped(int64_t value) {
  std::string digits = std::to_string(value);
  const int64_t first_digit = value < 0 ? 1 : 0;
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > first_digit; at -= 3) {
    digits.insert(at, ",");
  }
  return digits;
}

size_t display_width(const std::string& text) {
  // Bytes 10xxxxxx continue a code point.
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

std::string labelled_list(const std::string& label, const std::vector<std::string>& items) {
  std::string text;
  std::string line = fmt::format("{:<{}}", label, kLabelWidth);
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string item = items[i] + (i + 1 < items.size() ? "," : "");
    const bool is_first = line.size() == kLabelWidth;
    if (!is_first && display_width(line) + 1 + display_width(item) > kLineWidth) {
      text += line + "\n";
      line = std::string(kLabelWidth, ' ') + item;
    } else {
      line += (is_first ? "" : " ") + item;
    }
  }
  return text + line + "\n";
}

}  // namespace engine::cli
