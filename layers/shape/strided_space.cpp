#include "layers/shape/strided_space.h"

#include <fmt/format.h>

#include "engine/error.h"

namespace engine {
namespace {

// Whether every array walks the last loop of `space` and dimension `inner` as one loop.
bool joins(const StridedSpace& space, const std::vector<Shape>& strides, size_t inner,
           int64_t inner_size) {
  for (int k = 0; k < space.arrays; ++k) {
    if (space.inner_stride(k) != strides[static_cast<size_t>(k)][inner] * inner_size) return false;
  }
  return true;
}

}  // namespace

StridedSpace make_strided_space(const Shape& sizes, const std::vector<Shape>& strides) {
  StridedSpace space;
  space.arrays = static_cast<int>(strides.size());
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 1) continue;
    if (space.rank > 0 && joins(space, strides, d, sizes[d])) {
      space.sizes[space.rank - 1] *= sizes[d];
    } else {
      if (space.rank == StridedSpace::kMaxRank) {
        throw Error(ErrorKind::kUnsupported,
                    fmt::format("{} needs more than {} nested loops; use fewer dimensions",
                                to_string(sizes), StridedSpace::kMaxRank));
      }
      space.sizes[space.rank++] = sizes[d];
    }
    for (int k = 0; k < space.arrays; ++k) {
      space.strides[k][space.rank - 1] = strides[static_cast<size_t>(k)][d];
    }
  }
  if (space.rank == 0) {
    space.rank = 1;
    space.sizes[0] = 1;
    for (int k = 0; k < space.arrays; ++k) space.strides[k][0] = 1;
  }
  return space;
}

}  // namespace engine
