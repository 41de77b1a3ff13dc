// Text in aligned columns.
#pragma once

#include <string>
#include <vector>

namespace engine::cli {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string heading;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell for each column.
  void add_row(std::vector<std::string> cells);
  /// A horizontal line between the rows before and after.
  void add_line();
  /// Heading, a line, the rows; two spaces between columns, none at the ends of lines.
  std::string to_string() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  // an empty row is a horizontal line
};

}  // namespace engine::cli
