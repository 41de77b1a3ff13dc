#include "apps/engine/tensor_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/engine/table.h"
#include "engine/error.h"

namespace engine::cli {
namespace {

std::string classes_text(const std::vector<double>& values, const std::vector<std::string>& labels,
                         int64_t top) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  order.resize(std::min(order.size(), static_cast<size_t>(top)));
  Table table({{"label"}, {"probability", Table::Align::kRight}});
  for (const size_t i : order)
    table.add_row({labels[i], fmt::format("{:.2f} %", 100.0 * values[i])});
  return table.to_string();
}

// "[0, 3, :]" for the fourth row of a shape [1, 5, 23].
std::string row_text(int64_t row, const Shape& shape) {
  std::string text = ":]";
  for (size_t d = shape.size() - 1; d-- > 0; row /= shape[d]) {
    text = fmt::format("{}, {}", row % shape[d], text);
  }
  return "[" + text;
}

}  // namespace

double element(const Tensor& tensor, int64_t index) {
  switch (tensor.dtype()) {
    case DType::kF32:
      return tensor.data<float>()[index];
    case DType::kF16:
      return static_cast<float>(tensor.data<Half>()[index]);
    case DType::kBF16:
      return static_cast<float>(tensor.data<BFloat16>()[index]);
    case DType::kI32:
      return tensor.data<int32_t>()[index];
    case DType::kI64:
      break;
  }
  return static_cast<double>(tensor.data<int64_t>()[index]);
}

std::string summary(const std::string& name, const Tensor& tensor) {
  constexpr int64_t kShown = 6;
  const int64_t count = tensor.elements();
  double low = INFINITY;
  double high = -INFINITY;
  double sum = 0.0;
  bool has_nan = false;
  for (int64_t i = 0; i < count; ++i) {
    const double value = element(tensor, i);
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
    has_nan = has_nan || std::isnan(value);
  }
  std::string text = fmt::format("{} {}: min {:.6g}, max {:.6g}, mean {:.6g}{}; first", name,
                                 to_string(tensor.spec()), low, high,
                                 sum / static_cast<double>(count), has_nan ? ", some NaN" : "");
  for (int64_t i = 0; i < std::min(count, kShown); ++i) {
    text += fmt::format("{} {:.6g}", i == 0 ? "" : ",", element(tensor, i));
  }
  return text + (count > kShown ? ", ...\n" : "\n");
}

bool are_probabilities(const std::vector<double>& scores) {
  const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
  const bool none_negative =
      std::all_of(scores.begin(), scores.end(), [](double score) { return score >= 0.0; });
  return none_negative && std::abs(sum - 1.0) <= 1e-3;
}

std::vector<double> softmax(std::vector<double> scores) {
  const double highest = *std::max_element(scores.begin(), scores.end());
  double total = 0.0;
  for (double& score : scores) total += score = std::exp(score - highest);
  for (double& score : scores) score /= total;
  return scores;
}

std::string top_labels(const std::string& name, const Tensor& output,
                       const std::vector<std::string>& labels, int64_t top) {
  const auto classes = static_cast<int64_t>(labels.size());
  if (output.elements() % classes != 0 || (output.rank() > 0 && output.size(-1) != classes)) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("output '{}' has shape {}; expected a last size of {}, one for each "
                            "label, as at the model's typical input sizes",
                            name, to_string(output.shape()), classes));
  }
  std::vector<std::vector<double>> rows;
  for (int64_t i = 0; i < output.elements(); ++i) {
    if (i % classes == 0) rows.emplace_back();
    rows.back().push_back(element(output, i));
  }
  const bool needs_softmax = !std::all_of(rows.begin(), rows.end(), are_probabilities);
  std::string text;
  for (size_t row = 0; row < rows.size(); ++row) {
    if (rows.size() > 1) {
      const std::string place = row_text(static_cast<int64_t>(row), output.shape());
      text += fmt::format("{}{} {}\n", row == 0 ? "" : "\n", name, place);
    }
    text += classes_text(needs_softmax ? softmax(rows[row]) : rows[row], labels, top);
  }
  if (needs_softmax) text += fmt::format("(softmax of '{}')\n", name);
  return text;
}

}  // namespace engine::cli
