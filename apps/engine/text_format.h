// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace engine::cli {

/// Three significant digits with an SI prefix: si(3.42e9, "FLOP") is "3.42 GFLOP".
std::string si(double value, const std::string& unit);

/// Three significant digits, or all before the point where there are more: "3.42", "12,345".
std::string rounded(double value);

/// Digits in groups of three: "1,234,567".
std::string grouped(int64_t value);

/// Columns that UTF-8 text takes on a terminal, counting one for each code point.
size_t display_width(const std::string& text);

/// "label           a, b, c", its items broken into lines of at most 98 columns; ends with a line
/// end.
std::string labelled_list(const std::string& label, const std::vector<std::string>& items);

}  // namespace engine::cli
