// Dimensions named by index, as in torch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/shape.h"

namespace engine {

/// The index of dimension `dim` of `shape`; a negative one counts from the end. Throws
/// Error(kInvalidArgument) where there is no such dimension.
size_t resolve_dim(int64_t dim, const Shape& shape);

/// Product of the sizes from dimension `begin` up to, but without, `end`.
int64_t product(const Shape& shape, size_t begin, size_t end);

/// Distance in elements between neighbours along each dimension of a contiguous tensor.
Shape contiguous_strides(const Shape& shape);

}  // namespace engine
