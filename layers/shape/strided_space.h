// Nested loops over several arrays at once: what broadcasting, slicing, joining and transposing
// have in common.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/shape.h"

namespace engine {

/// Up to kMaxRank nested loops, outermost first. At loop indices i0, i1, ... array k is at element
/// i0 * strides[k][0] + i1 * strides[k][1] + ... A plain struct, so that kernels take it by value.
struct StridedSpace {
  static constexpr int kMaxRank = 6;
  static constexpr int kMaxArrays = 8;

  int rank = 0;
  int arrays = 0;
  int64_t sizes[kMaxRank] = {};
  int64_t strides[kMaxArrays][kMaxRank] = {};

  int64_t elements() const {
    int64_t count = 1;
    for (int d = 0; d < rank; ++d) count *= sizes[d];
    return count;
  }
  int64_t inner_size() const { return sizes[rank - 1]; }
  int64_t inner_stride(int array) const { return strides[array][rank - 1]; }
};

/// The loops over `sizes`, where strides[k][d] is array k's step along dimension d, with loops of
/// size one left out and neighbouring loops joined where every array walks them as one. Its rank
/// is at least 1. Throws Error(kUnsupported) where more than kMaxRank loops remain.
StridedSpace make_strided_space(const Shape& sizes, const std::vector<Shape>& strides);

/// Calls body(offsets, count) for every stretch of the innermost loop within items [begin, end) of
/// the space: offsets[k] is where array k starts.
template <typename Body>
void for_each_run(const StridedSpace& space, int64_t begin, int64_t end, Body&& body) {
  const int inner = space.rank - 1;
  int64_t indices[StridedSpace::kMaxRank] = {};
  int64_t offsets[StridedSpace::kMaxArrays] = {};
  const auto move = [&](int loop, int64_t steps) {
    indices[loop] += steps;
    for (int k = 0; k < space.arrays; ++k) offsets[k] += steps * space.strides[k][loop];
  };
  int64_t rest = begin;
  for (int d = inner; d >= 0; --d) {
    move(d, rest % space.sizes[d]);
    rest /= space.sizes[d];
  }
  while (begin < end) {
    const int64_t count = std::min(end - begin, space.inner_size() - indices[inner]);
    body(offsets, count);
    begin += count;
    move(inner, -indices[inner]);
    for (int d = inner - 1; d >= 0; --d) {
      move(d, 1);
      if (indices[d] < space.sizes[d]) break;
      move(d, -space.sizes[d]);
    }
  }
}

}  // namespace engine
