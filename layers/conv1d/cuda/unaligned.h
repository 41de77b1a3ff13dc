// Elements at any place of a tensor, read by aligned loads of 16 bytes.
#pragma once

#include <cstdint>

#include "engine/cuda/pack.h"
#include "layers/conv1d/padding_mode.h"

namespace engine::cuda {

/// kCount neighbouring elements that begin anywhere among packs of 16 bytes, loaded and unpacked in
/// two steps, so that several loads can be under way before the first is waited for.
template <typename T, int kCount>
class Run {
 public:
  /// Packs that a run may touch.
  static constexpr int kPacks = (kCount + 2 * kPackWidth<T> - 2) / kPackWidth<T>;

  /// Loads the elements that begin `skip` elements behind `packs`.
  __device__ __forceinline__ void load(const uint4* packs, int skip) {
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      uint4 pack = {};
      if (i * kPackWidth<T> < skip + kCount) pack = __ldg(packs + i);
      words_[4 * i] = pack.x;
      words_[4 * i + 1] = pack.y;
      words_[4 * i + 2] = pack.z;
      words_[4 * i + 3] = pack.w;
    }
  }

  /// The elements in f32, `skip` as it was loaded with. Call once.
  __device__ __forceinline__ void unpack(int skip, float (&values)[kCount]) {
    constexpr int kPerWord = 4 / sizeof(T);
    shift<2>(skip / kPerWord & 2);
    shift<1>(skip / kPerWord & 1);
    if constexpr (kPerWord == 1) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) values[i] = __uint_as_float(words_[i]);
    } else {
      const int bits = 16 * (skip & 1);
#pragma unroll
      for (int i = 0; i < kCount; i += 2) {
        const uint32_t next = i / 2 + 1 < 4 * kPacks ? words_[i / 2 + 1] : 0;
        const uint32_t two = __funnelshift_r(words_[i / 2], next, bits);
        values[i] = half_of(two);
        if (i + 1 < kCount) values[i + 1] = half_of(two >> 16);
      }
    }
  }

 private:
  template <int kBy>
  __device__ __forceinline__ void shift(int enabled) {
#pragma unroll
    for (int i = 0; i + kBy < 4 * kPacks; ++i) {
      if (enabled) words_[i] = words_[i + kBy];
    }
  }

  static __device__ __forceinline__ float half_of(uint32_t word) {
    const auto bits = static_cast<uint16_t>(word);
    return to_float(*reinterpret_cast<const T*>(&bits));
  }

  uint32_t words_[4 * kPacks];
};

/// How many elements the tensor at `data` begins beyond a multiple of 16 bytes.
template <typename T>
int skew_of(const T* data) {
  return static_cast<int>(reinterpret_cast<uintptr_t>(data) % 16 / sizeof(T));
}

/// The element at `position` of a padded row, as it is stored; a zero where the padding mode has
/// none.
template <typename T>
__device__ __forceinline__ T read_padded(const T* row, int64_t position, int64_t length,
                                         PaddingMode mode) {
  const int64_t source = padded_source(position, length, mode);
  return source >= 0 && source < length ? row[source] : from_float<T>(0.0f);
}

/// read_padded() in f32, out of line where few outputs need it.
template <typename T>
__device__ __noinline__ float read_beyond(const T* row, int64_t position, int64_t length,
                                          PaddingMode mode) {
  return to_float(read_padded(row, position, length, mode));
}

}  // namespace engine::cuda
