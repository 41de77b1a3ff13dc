#include "layers/shape/dim.h"

#include <fmt/format.h>

#include "engine/error.h"

namespace engine {

size_t resolve_dim(int64_t dim, const Shape& shape) {
  const int64_t rank = static_cast<int64_t>(shape.size());
  if (dim >= -rank && dim < rank) return static_cast<size_t>(dim < 0 ? dim + rank : dim);
  throw Error(ErrorKind::kInvalidArgument,
              fmt::format("dimension {} is out of range for an input of {} dimensions {}; expected "
                          "{} to {}",
                          dim, rank, to_string(shape), -rank, rank - 1));
}

int64_t product(const Shape& shape, size_t begin, size_t end) {
  int64_t result = 1;
  for (size_t d = begin; d < end; ++d) result *= shape[d];
  return result;
}

Shape contiguous_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

}  // namespace engine
