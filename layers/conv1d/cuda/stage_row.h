// Copies part of a row, padding included, to shared memory by packs of 16 bytes.
#pragma once

#include <cstdint>

#include "engine/cuda/pack.h"
#include "layers/conv1d/cuda/copy_async.h"
#include "layers/conv1d/cuda/unaligned.h"

namespace engine::cuda {

/// Packs of a cache line.
inline constexpr int kLinePacks = 8;

/// Neighbouring packs of a row, aligned as they are in memory.
struct RowPart {
  int64_t first;    ///< position in the row of the first pack's first element; may be negative
  int count;        ///< of packs
  int inner_begin;  ///< packs from here
  int inner_end;    ///< to here hold elements of the row only
};

__device__ __forceinline__ int clamp_to(int64_t value, int low, int high) {
  return static_cast<int>(max(min(value, int64_t{high}), int64_t{low}));
}

/// The `count` packs from `first` on of a row of `length` elements.
template <typename T>
__device__ __forceinline__ RowPart row_part(int64_t first, int count, int64_t length) {
  constexpr int kWidth = kPackWidth<T>;
  RowPart part{first, count, 0, 0};
  part.inner_begin = clamp_to((kWidth - 1 - first) / kWidth, 0, count);
  part.inner_end = clamp_to((length - first) / kWidth, part.inner_begin, count);
  return part;
}

/// Starts copying a row's part by the `team` threads, at least 8, of which this one is number
/// `lane`, whole cache lines at a time where the part begins with one; what the
/// row's packs do not hold alone is there when this returns.
template <typename T>
__device__ __forceinline__ void stage_row(const RowPart& part, const T* row, int64_t length,
                                          PaddingMode mode, int lane, int team, uint4* target) {
  constexpr int kWidth = kPackWidth<T>;
  int i = (part.inner_begin & -kLinePacks) + lane;
  if (i < part.inner_begin) i += team;
  const auto* source = reinterpret_cast<const uint4*>(row + part.first) + i;
  uint4* place = target + i;
#pragma unroll 4
  for (; i < part.inner_end; i += team, source += team, place += team) {
    copy_async_16(place, source);
  }
  const int before = part.inner_begin * kWidth;
  const int inner = (part.inner_end - part.inner_begin) * kWidth;
#pragma unroll 1
  for (int j = lane; j < part.count * kWidth - inner; j += team) {
    const int at = j < before ? j : j + inner;
    reinterpret_cast<T*>(target)[at] = read_padded(row, part.first + at, length, mode);
  }
}

}  // namespace engine::cuda
