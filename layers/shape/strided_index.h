// From an item of a StridedSpace to its loop indices and elements, on the GPU. For .cu files only.
#pragma once

#include "engine/cuda/fast_divide.h"
#include "layers/shape/strided_space.h"

namespace engine {

/// The loop indices of one item, outermost first. Loops over it are unrolled to keep it in
/// registers.
struct LoopIndices {
  int64_t values[StridedSpace::kMaxRank];
};

/// Splits item numbers into loop indices. Made on the host, handed to kernels by value.
class LoopDivider {
 public:
  explicit LoopDivider(const StridedSpace& space)
      : rank_(space.rank), sizes_{divide(space, 0), divide(space, 1), divide(space, 2),
                                  divide(space, 3), divide(space, 4), divide(space, 5)} {}

  __device__ __forceinline__ LoopIndices split(int64_t item) const {
    LoopIndices indices;
#pragma unroll
    for (int d = StridedSpace::kMaxRank - 1; d > 0; --d) {
      if (d >= rank_) continue;
      const int64_t outer = sizes_[d].quotient(item);
      indices.values[d] = item - outer * sizes_[d].divisor();
      item = outer;
    }
    indices.values[0] = item;
    return indices;
  }

 private:
  static cuda::FastDivide divide(const StridedSpace& space, int loop) {
    return cuda::FastDivide(loop < space.rank ? space.sizes[loop] : 1);
  }

  int rank_;
  cuda::FastDivide sizes_[StridedSpace::kMaxRank];
};

/// The index of loop `loop`, without addressing registers by number.
__device__ __forceinline__ int64_t index_of(const LoopIndices& indices, int loop) {
  int64_t index = 0;
#pragma unroll
  for (int d = 0; d < StridedSpace::kMaxRank; ++d) {
    if (d == loop) index = indices.values[d];
  }
  return index;
}

/// The element of array `array` at these indices.
__device__ __forceinline__ int64_t element_at(const StridedSpace& space, int array,
                                              const LoopIndices& indices) {
  int64_t element = 0;
#pragma unroll
  for (int d = 0; d < StridedSpace::kMaxRank; ++d) {
    if (d < space.rank) element += indices.values[d] * space.strides[array][d];
  }
  return element;
}

}  // namespace engine
