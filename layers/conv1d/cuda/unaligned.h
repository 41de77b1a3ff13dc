// Elements at any place among packs of 16 bytes, read by aligned loads.
#pragma once

#include <cstdint>
#include <type_traits>

#include "engine/cuda/pack.h"
#include "layers/conv1d/padding_mode.h"

namespace engine::cuda {

/// Elements of a 32-bit word.
template <typename T>
inline constexpr int kWordWidth = 4 / sizeof(T);

/// The two 16-bit elements of a word in f32.
template <typename T>
__device__ __forceinline__ float2 unpack_word(uint32_t word) {
  if constexpr (std::is_same_v<T, __half>) {
    return __half22float2(*reinterpret_cast<const __half2*>(&word));
  } else {
    return {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u)};
  }
}

/// Turns neighbouring words into kCount elements from element `odd` of the first on; 16-bit
/// elements take kCount / 2 + 1 words.
template <typename T, int kCount>
__device__ __forceinline__ void unpack_words(const uint32_t* words, int odd,
                                             float (&values)[kCount]) {
  if constexpr (kWordWidth<T> == 1) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] = __uint_as_float(words[i]);
  } else {
#pragma unroll
    for (int i = 0; i < kCount; i += 2) {
      const uint32_t next = i + 1 < kCount ? words[i / 2 + 1] : 0;
      const float2 two = unpack_word<T>(__funnelshift_r(words[i / 2], next, 16 * odd));
      values[i] = two.x;
      if (i + 1 < kCount) values[i + 1] = two.y;
    }
  }
}

/// Calls body(word), a compile-time number, with skip / kWordWidth<T> for a `skip` below
/// kPackWidth<T> that is the same for the whole warp.
template <typename T, typename Body>
__device__ __forceinline__ void with_first_word(int skip, Body&& body) {
  switch (skip / kWordWidth<T>) {
    case 0:
      return body(std::integral_constant<int, 0>{});
    case 1:
      return body(std::integral_constant<int, 1>{});
    case 2:
      return body(std::integral_constant<int, 2>{});
    default:
      return body(std::integral_constant<int, 3>{});
  }
}

/// Reads the kCount elements that begin `skip` elements behind `packs` in shared memory, as f32.
template <typename T, int kCount>
__device__ __forceinline__ void read_run(const uint4* packs, int skip, float (&values)[kCount]) {
  constexpr bool kPairs = kWordWidth<T> == 2;
  constexpr int kWords = kCount / kWordWidth<T> + (kPairs ? 1 : 0);
  if constexpr (kPairs && kCount == kPackWidth<T>) {
    if (skip == 0) return load_whole_pack(reinterpret_cast<const T*>(packs), values);
  }
  with_first_word<T>(skip, [&](auto first) {
    constexpr int kPacks = (first + kWords + 3) / 4;
    uint32_t words[4 * kPacks];
#pragma unroll
    for (int i = 0; i < kPacks; ++i) reinterpret_cast<uint4*>(words)[i] = packs[i];
    unpack_words<T>(words + first, skip & (kWordWidth<T> - 1), values);
  });
}

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

}  // namespace engine::cuda
