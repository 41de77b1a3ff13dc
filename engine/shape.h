// Shapes: lists of 64-bit sizes, outermost first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace engine {

/// Sizes of a tensor, outermost first; NCL is {batch, channels, length}. Empty for a scalar.
using Shape = std::vector<int64_t>;

/// Product of the sizes (1 for a scalar). Throws Error(kInvalidArgument) on a negative size or
/// where the product does not fit 63 bits.
int64_t element_count(const Shape& shape);

/// "[1, 64, 16000]".
std::string to_string(const Shape& shape);

}  // namespace engine
