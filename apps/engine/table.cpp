#include "apps/engine/table.h"

#include <algorithm>

#include "apps/engine/text_format.h"

namespace engine::cli {

void Table::add_row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

void Table::add_line() { rows_.emplace_back(); }

std::string Table::to_string() const {
  std::vector<std::string> headings;
  std::vector<size_t> widths;
  for (const Column& column : columns_) {
    headings.push_back(column.heading);
    widths.push_back(display_width(column.heading));
  }
  for (const auto& row : rows_) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
  }

  std::string text;
  const auto add = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t c = 0; c < widths.size(); ++c) {
      const std::string cell = row.empty() ? std::string(widths[c], '-') : row[c];
      const std::string space(widths[c] - display_width(cell), ' ');
      line += (c > 0 ? "  " : "");
      line += columns_[c].align == Align::kRight ? space + cell : cell + space;
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add(headings);
  add({});
  for (const auto& row : rows_) add(row);
  return text;
}

}  // namespace engine::cli
