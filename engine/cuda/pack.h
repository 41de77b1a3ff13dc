// Packs: 16 bytes of consecutive elements, loaded and stored by one instruction.
//
// Kernels cut a tensor into packs counted from its first element, so a pack is aligned wherever
// the tensor is, and rows of any length only have to take care of the packs at their two ends.
#pragma once

#include <cstdint>
#include <type_traits>

#include "engine/cuda/device_access.h"
#include "engine/cuda/half_math.h"

namespace engine::cuda {

/// Elements in a pack: 4 of f32, 8 of f16 and bf16.
template <typename T>
inline constexpr int kPackWidth = 16 / sizeof(T);

/// Whether packs of the tensor at `data` may be loaded and stored whole. A step's inputs always are
/// aligned (kInputAlignment); an output in a user's memory may be aligned to its element only.
inline bool is_pack_aligned(const void* data) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0;
}

template <typename T>
struct alignas(16) Pack {
  T values[kPackWidth<T>];
};

/// Which elements of the pack that begins at element `first` lie in [begin, end): [low, high).
struct PackRange {
  int low;
  int high;

  __device__ __forceinline__ PackRange(int first, int behind) : low(first), high(behind) {}
  __device__ __forceinline__ PackRange(int64_t first, int64_t begin, int64_t end, int width)
      : low(begin > first ? static_cast<int>(min(begin - first, int64_t{width})) : 0),
        high(end < first + width ? static_cast<int>(max(end - first, int64_t{0})) : width) {}

  __device__ __forceinline__ bool empty() const { return low >= high; }
  __device__ __forceinline__ bool covers(int width) const { return low == 0 && high == width; }
  __device__ __forceinline__ bool contains(int i) const { return i >= low && i < high; }
};

/// Loads a pack that is aligned.
template <typename T>
__device__ __forceinline__ void load_whole_pack(const T* pack, float (&values)[kPackWidth<T>]) {
  const Pack<T> loaded = *reinterpret_cast<const Pack<T>*>(pack);
#pragma unroll
  for (int i = 0; i < kPackWidth<T>; ++i) values[i] = to_float(loaded.values[i]);
}

/// Loads the elements of `range`; the others keep their value. `aligned`: is_pack_aligned(tensor).
template <typename T>
__device__ __forceinline__ void load_pack(const T* pack, PackRange range, bool aligned,
                                          float (&values)[kPackWidth<T>]) {
  constexpr int kWidth = kPackWidth<T>;
  if (aligned && range.covers(kWidth)) {
    load_whole_pack(pack, values);
    return;
  }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    if (range.contains(i)) values[i] = to_float(pack[i]);
  }
}

/// The bits of a pack of `values`, rounded to T.
template <typename T>
__device__ __forceinline__ uint4 to_pack(const float (&values)[kPackWidth<T>]) {
  uint32_t words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (std::is_same_v<T, __half>) {
      const __half2 two = __floats2half2_rn(values[2 * i], values[2 * i + 1]);
      words[i] = *reinterpret_cast<const uint32_t*>(&two);
    } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
      const __nv_bfloat162 two = __floats2bfloat162_rn(values[2 * i], values[2 * i + 1]);
      words[i] = *reinterpret_cast<const uint32_t*>(&two);
    } else {
      words[i] = *reinterpret_cast<const uint32_t*>(&values[i]);
    }
  }
  return {words[0], words[1], words[2], words[3]};
}

/// Stores the elements of `range`.
template <typename T>
__device__ __forceinline__ void store_pack(T* pack, PackRange range, bool aligned,
                                           const float (&values)[kPackWidth<T>]) {
  constexpr int kWidth = kPackWidth<T>;
  if (aligned && range.covers(kWidth)) {
    store_16(pack, to_pack<T>(values));
    return;
  }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    if (range.contains(i)) pack[i] = from_float<T>(values[i]);
  }
}

}  // namespace engine::cuda
