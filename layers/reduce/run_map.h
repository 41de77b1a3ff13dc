// Elementwise maps whose constants change from run to run: a run is a fixed number of consecutive
// elements, such as one channel of an NCL tensor or one row.
//
// A Map has run (FastDivide of the run's length), Constants, and
//   apply(x, constants, offset): the result for the element at `offset` of its run.
#pragma once

#include <cstdint>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/pack.h"

namespace engine {

/// Maps the elements of `range` in the pack that begins at element `first`.
/// constants_of(r) are the constants of run r.
template <int kWidth, typename Map, typename ConstantsOf>
__device__ __forceinline__ void map_pack(const Map& map, int64_t first, cuda::PackRange range,
                                         float (&values)[kWidth], ConstantsOf constants_of) {
  int64_t run = map.run.quotient(first + range.low);
  int64_t offset = first + range.low - run * map.run.divisor();
  auto constants = constants_of(run);
  if constexpr (requires { map.apply_pack(values, constants, offset); }) {
    if (range.covers(kWidth) && map.can_apply_pack(kWidth, offset)) {
      return map.apply_pack(values, constants, offset);
    }
  }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    if (!range.contains(i)) continue;
    if (offset == map.run.divisor()) {
      constants = constants_of(++run);
      offset = 0;
    }
    values[i] = map.apply(values[i], constants, offset++);
  }
}

/// target[i] = map(source[i]) for `count` elements; map.constants(r) are the constants of run r.
///
/// Threads: one pack each, grid stride. Shared memory: none.
/// Bytes moved: each element read once and written once, which is what limits it.
/// Requires: nothing; source may equal target.
template <typename T, typename Map>
__global__ void __launch_bounds__(256)
    run_map_kernel(Map map, const T* source, T* target, int64_t count, bool aligned) {
  constexpr int kWidth = cuda::kPackWidth<T>;
  const int64_t stride = int64_t{gridDim.x} * blockDim.x * kWidth;
  for (int64_t first = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) * kWidth; first < count;
       first += stride) {
    const cuda::PackRange range(first, 0, count, kWidth);
    float values[kWidth] = {};
    cuda::load_pack(source + first, range, aligned, values);
    map_pack(map, first, range, values, [&](int64_t run) { return map.constants(run); });
    cuda::store_pack(target + first, range, aligned, values);
  }
}

template <typename T, typename Map>
void run_map(const char* name, const Map& map, const T* source, T* target, int64_t count,
             cudaStream_t stream) {
  cuda::LaunchConfig config{name};
  config.grid_x = cuda::grid_for(count, int64_t{256} * cuda::kPackWidth<T>);
  config.stream = stream;
  const bool aligned = cuda::is_pack_aligned(source) && cuda::is_pack_aligned(target);
  cuda::launch(run_map_kernel<T, Map>, config, map, source, target, count, aligned);
}

}  // namespace engine
