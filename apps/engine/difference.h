// How far a computed tensor is from the exact one.
#pragma once

#include <string>
#include <vector>

#include "engine/tensor.h"

namespace engine::cli {

struct Difference {
  double max_abs = 0.0;
  double relative_l2 = 0.0;  ///< |found - exact| / |exact|; |found| where exact is all zeros
};

/// Equal infinities, and a NaN for a NaN, count as equal; any other pair that is not finite makes
/// both figures infinite. `found` is on the CPU, with as many elements as `exact`.
Difference difference(const Tensor& found, const std::vector<double>& exact);

}  // namespace engine::cli
