#include "apps/engine/difference.h"

#include <algorithm>
#include <cmath>

#include "apps/engine/tensor_text.h"

namespace engine::cli {

Difference difference(const Tensor& found, const std::vector<double>& exact) {
  double max_abs = 0.0;
  double error_squares = 0.0;
  double exact_squares = 0.0;
  for (int64_t i = 0; i < found.elements(); ++i) {
    const double value = element(found, i);
    const double wanted = exact[static_cast<size_t>(i)];
    if (value == wanted || (std::isnan(value) && std::isnan(wanted))) {
      if (std::isfinite(wanted)) exact_squares += wanted * wanted;
      continue;
    }
    const double error = std::abs(value - wanted);
    if (!std::isfinite(error)) return {INFINITY, INFINITY};
    max_abs = std::max(max_abs, error);
    error_squares += error * error;
    exact_squares += wanted * wanted;
  }
  const double scale = exact_squares > 0.0 ? exact_squares : 1.0;
  return {max_abs, std::sqrt(error_squares / scale)};
}

}  // namespace engine::cli
