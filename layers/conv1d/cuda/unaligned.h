// Runs of elements that begin at any element of a tensor, read by aligned 16-byte loads.
#pragma once

#include <cstdint>

#include "engine/cuda/pack.h"
#include "layers/conv1d/padding_mode.h"

namespace engine::cuda {

/// kCount neighbouring elements as they lie in memory, loaded and unpacked in two steps, so that
/// several loads can be under way before the first is waited for.
template <typename T, int kCount>
class Run {
 public:
  /// Packs that the run may touch.
  static constexpr int kPacks = (kCount + 2 * kPackWidth<T> - 2) / kPackWidth<T>;

  /// Whether load() at element `index` of a tensor stays within its `total` elements. `skew` is how
  /// many elements the tensor begins beyond a multiple of 16 bytes.
  static __device__ __forceinline__ bool readable(int64_t index, int64_t total, int skew) {
    const int64_t aligned = index - static_cast<int>((index + skew) & (kPackWidth<T> - 1));
    return aligned >= 0 && aligned + kPacks * kPackWidth<T> <= total;
  }

  /// Loads the packs that hold the elements from `first` on. `enabled`: else nothing is read.
  __device__ __forceinline__ void load(const T* first, bool enabled = true) {
    const auto address = reinterpret_cast<uintptr_t>(first);
    const auto* packs = reinterpret_cast<const uint4*>(address & ~uintptr_t{15});
    skip_ = static_cast<int>(address & 15) / static_cast<int>(sizeof(T));
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      uint4 pack = {};
      if (enabled && i * kPackWidth<T> < skip_ + kCount) pack = __ldg(packs + i);
      words_[4 * i] = pack.x;
      words_[4 * i + 1] = pack.y;
      words_[4 * i + 2] = pack.z;
      words_[4 * i + 3] = pack.w;
    }
  }

  /// The elements in f32. Call once.
  __device__ __forceinline__ void unpack(float (&values)[kCount]) {
    constexpr int kPerWord = 4 / sizeof(T);
    shift<2>(skip_ / kPerWord & 2);
    shift<1>(skip_ / kPerWord & 1);
    if constexpr (kPerWord == 1) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) values[i] = __uint_as_float(words_[i]);
    } else {
      const int bits = 16 * (skip_ & 1);
#pragma unroll
      for (int i = 0; 2 * i < kCount; ++i) {
        const uint32_t next = i + 1 < 4 * kPacks ? words_[i + 1] : 0;
        const Halves halves{__funnelshift_r(words_[i], next, bits)};
        values[2 * i] = to_float(halves.values[0]);
        if (2 * i + 1 < kCount) values[2 * i + 1] = to_float(halves.values[1]);
      }
    }
  }

 private:
  union Halves {
    uint32_t word;
    T values[sizeof(T) == 2 ? 2 : 1];
    __device__ Halves(uint32_t w) : word(w) {}
  };

  template <int kBy>
  __device__ __forceinline__ void shift(int enabled) {
#pragma unroll
    for (int i = 0; i + kBy < 4 * kPacks; ++i) {
      if (enabled) words_[i] = words_[i + kBy];
    }
  }

  uint32_t words_[4 * kPacks];
  int skip_;  // elements of the first pack before the run
};

/// How many elements the tensor at `data` begins beyond a multiple of 16 bytes.
template <typename T>
int skew_of(const T* data) {
  return static_cast<int>(reinterpret_cast<uintptr_t>(data) % 16 / sizeof(T));
}

/// Out of line: few outputs read beyond the ends.
template <typename T>
__device__ __noinline__ float read_beyond(const T* row, int64_t position, int64_t length,
                                          PaddingMode mode) {
  const int64_t source = padded_source(position, length, mode);
  return source >= 0 && source < length ? to_float(row[source]) : 0.0f;
}

/// The element at `position` of a padded row.
template <typename T>
__device__ __forceinline__ float read_padded(const T* row, int64_t position, int64_t length,
                                             PaddingMode mode) {
  if (static_cast<uint64_t>(position) < static_cast<uint64_t>(length)) {
    return to_float(row[position]);
  }
  return mode == PaddingMode::kZeros ? 0.0f : read_beyond(row, position, length, mode);
}

}  // namespace engine::cuda
