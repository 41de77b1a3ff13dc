#include "apps/engine/conv1d_suite.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <random>

#include "engine/error.h"
#include "engine/shape.h"

namespace engine::cli {
namespace {

constexpr std::array kColumns{"name",   "batch",   "in_channels", "out_channels", "kernel_size",
                              "stride", "padding", "dilation",    "groups",       "length"};
constexpr const char* kTransposed = "transposed";
// Products of two sizes fit 64 bits with room for a third term.
constexpr int64_t kLargestSize = int64_t{1} << 30;

using Cells = std::vector<std::string>;

Cells split(const std::string& line) {
  Cells cells(1);
  for (const char c : line) {
    if (c == ',') {
      cells.emplace_back();
    } else if (c != '\r') {
      cells.back() += c;
    }
  }
  return cells;
}

// One line of a suite under its heading.
class Row {
 public:
  Row(const std::string& path, int64_t line, const Cells& heading, const Cells& cells)
      : path_(path), line_(line), heading_(heading), cells_(cells) {
    if (cells.size() == heading.size()) return;
    fail(fmt::format("{} cells, expected {} as in the heading", cells.size(), heading.size()));
  }

  const std::string& text(const std::string& column) const {
    const auto found = std::find(heading_.begin(), heading_.end(), column);
    return cells_[static_cast<size_t>(found - heading_.begin())];
  }

  int64_t number(const std::string& column, int64_t least, int64_t most = kLargestSize) const {
    const std::string& cell = text(column);
    int64_t value = 0;
    const char* end = cell.data() + cell.size();
    const auto [stop, status] = std::from_chars(cell.data(), end, value);
    if (status != std::errc() || stop != end || value < least || value > most) {
      fail(fmt::format("{} is '{}', expected a whole number from {} to {}", column, cell, least,
                       most));
    }
    return value;
  }

  bool has(const std::string& column) const {
    return std::find(heading_.begin(), heading_.end(), column) != heading_.end();
  }

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorKind::kInvalidArgument, fmt::format("{}:{}: {}", path_, line_, message));
  }

 private:
  const std::string& path_;
  int64_t line_;
  const Cells& heading_;
  const Cells& cells_;
};

int64_t out_length(const Conv1dProblem& p) {
  const int64_t span = p.dilation * (p.kernel_size - 1) + 1;
  const int64_t padding = p.pad_left + p.pad_right;
  if (p.transposed) return (p.in_length - 1) * p.stride + span - padding;
  const int64_t room = p.in_length + padding - span;
  return room < 0 ? 0 : room / p.stride + 1;
}

Conv1dCase read_case(const Row& row) {
  Conv1dCase result{row.text("name"), {}};
  if (result.name.empty()) row.fail("name is empty");
  Conv1dProblem& p = result.problem;
  p.batch = row.number("batch", 1);
  p.in_channels = row.number("in_channels", 1);
  p.out_channels = row.number("out_channels", 1);
  p.kernel_size = row.number("kernel_size", 1);
  p.stride = row.number("stride", 1);
  p.pad_left = p.pad_right = row.number("padding", 0);
  p.dilation = row.number("dilation", 1);
  p.groups = row.number("groups", 1);
  p.in_length = row.number("length", 1);
  p.transposed = row.has(kTransposed) && row.number(kTransposed, 0, 1) == 1;
  if (p.in_channels % p.groups != 0 || p.out_channels % p.groups != 0) {
    row.fail(fmt::format("{} groups, expected a divisor of in_channels {} and out_channels {}",
                         p.groups, p.in_channels, p.out_channels));
  }
  p.out_length = out_length(p);
  if (p.out_length < 1) {
    row.fail(
        fmt::format("the output length is {}, expected at least 1 (length {}, kernel_size {}, "
                    "dilation {}, padding {})",
                    p.out_length, p.in_length, p.kernel_size, p.dilation, p.pad_left));
  }
  try {
    element_count({p.batch, p.in_channels, p.in_length});
    element_count({p.batch, p.out_channels, p.out_length});
    element_count({p.out_channels, p.group_inputs(), p.kernel_size});
  } catch (const Error& error) {
    row.fail(error.what());
  }
  return result;
}

void check_heading(const std::string& path, int64_t line, const Cells& heading) {
  for (const char* column : kColumns) {
    if (std::find(heading.begin(), heading.end(), column) != heading.end()) continue;
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("{}:{}: the heading has no column '{}'; expected {}", path, line,
                            column, fmt::join(kColumns, ",")));
  }
}

// The cases of a file whose first line that is not empty is the heading.
std::vector<Conv1dCase> read_lines(const std::string& path, std::istream& file) {
  std::vector<Conv1dCase> cases;
  Cells heading;
  std::string text;
  for (int64_t line = 1; std::getline(file, text); ++line) {
    const Cells cells = split(text);
    if (cells.size() == 1 && cells[0].empty()) continue;
    if (heading.empty()) {
      check_heading(path, line, cells);
      heading = cells;
      continue;
    }
    const Row row(path, line, heading, cells);
    Conv1dCase next = read_case(row);
    for (const Conv1dCase& other : cases) {
      if (other.name == next.name) row.fail(fmt::format("a second case named '{}'", next.name));
    }
    cases.push_back(std::move(next));
  }
  return cases;
}

// Not the distributions of <random>, whose numbers differ between standard libraries.
class Draw {
 public:
  explicit Draw(uint64_t seed) : generator_(seed) {}

  int64_t integer(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(generator_() % static_cast<uint64_t>(high - low + 1));
  }
  int64_t pick(std::initializer_list<int64_t> choices) {
    return choices.begin()[integer(0, static_cast<int64_t>(choices.size()) - 1)];
  }
  bool one_in(int64_t count) { return integer(1, count) == 1; }

 private:
  std::mt19937_64 generator_;
};

int64_t draw_channels(Draw& draw) {
  return draw.one_in(3) ? draw.integer(1, 600)
                        : draw.pick({1, 2, 4, 12, 16, 32, 48, 64, 80, 96, 128, 192, 256, 384, 512});
}

void draw_channels_and_groups(Draw& draw, Conv1dProblem& p) {
  p.in_channels = draw_channels(draw);
  p.out_channels = draw_channels(draw);
  const int64_t kind = draw.integer(0, 5);
  if (kind == 0) {
    p.groups = p.in_channels;
    p.out_channels = p.in_channels * draw.pick({1, 1, 1, 2});
  } else if (kind == 1) {
    p.groups = draw.pick({2, 3, 4, 8, 16});
    p.in_channels *= p.groups;
    p.out_channels *= p.groups;
  }
}

void draw_taps(Draw& draw, Conv1dProblem& p) {
  p.kernel_size = draw.pick({1, 1, 2, 3, 3, 3, 4, 5, 7, 8, 9, 11, 15, 16, 25, 31});
  if (draw.one_in(16)) p.kernel_size = draw.integer(64, 2048);
  p.stride = draw.pick({1, 1, 1, 1, 2, 2, 3, 4, 5, 8});
  p.dilation = draw.one_in(3) ? draw.pick({2, 3, 4, 5, 8, 16, 64}) : 1;
  p.transposed = draw.one_in(5);
  const int64_t span = p.dilation * (p.kernel_size - 1);
  p.pad_left = p.pad_right = draw.pick({0, span / 2, span / 2, std::min<int64_t>(span, 3)});
}

// Lengths that keep within the limits, long and short.
void draw_length(Draw& draw, Conv1dProblem& p) {
  constexpr double kMostElements = 6e7;
  constexpr double kMostFlops = 4e11;
  const double per_position = static_cast<double>(p.batch) * static_cast<double>(p.in_channels);
  const double out_per_position =
      static_cast<double>(p.batch * p.out_channels) *
      (p.transposed ? static_cast<double>(p.stride) : 1.0 / static_cast<double>(p.stride));
  Conv1dProblem one = p;
  one.in_length = one.out_length = 1;
  const double flops = one.flops() / (p.transposed ? 1.0 : static_cast<double>(p.stride));
  const auto most = static_cast<int64_t>(
      std::min({kMostElements / (per_position + out_per_position), kMostFlops / flops, 600e3}));
  const int64_t least = p.dilation * (p.kernel_size - 1) + 1;
  p.in_length = draw.integer(1, std::max<int64_t>(1, most));
  for (int64_t halvings = draw.integer(0, 5); halvings > 0; --halvings) p.in_length /= 2;
  if (draw.one_in(2)) p.in_length = p.in_length / 64 * 64;
  p.in_length = std::max({p.in_length, least, 2 * p.pad_left + 1});
  p.out_length = out_length(p);
}

}  // namespace

std::vector<Conv1dCase> read_conv1d_suite(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  if (!file) {
    throw Error(ErrorKind::kIo, fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  }
  std::vector<Conv1dCase> cases = read_lines(path, file);
  if (file.bad()) {
    throw Error(ErrorKind::kIo, fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  }
  if (cases.empty()) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("{}: no cases, expected a heading {} and a line for each", path,
                            fmt::join(kColumns, ",")));
  }
  return cases;
}

std::vector<Conv1dCase> random_conv1d_cases(int64_t count, uint64_t seed) {
  std::vector<Conv1dCase> cases;
  for (int64_t i = 0; i < count; ++i) {
    Draw draw(seed * 1'000'003 + static_cast<uint64_t>(i));
    Conv1dCase next{fmt::format("random_{}_{}", seed, i), {}};
    Conv1dProblem& p = next.problem;
    p.batch = draw.pick({1, 1, 2, 3, 8, 16, 32, 64});
    draw_channels_and_groups(draw, p);
    draw_taps(draw, p);
    draw_length(draw, p);
    cases.push_back(std::move(next));
  }
  return cases;
}

}  // namespace engine::cli
