// Copies part of a row, padding included, to shared memory by packs of 16 bytes.
#pragma once

#include <cstdint>

#include "engine/cuda/pack.h"
#include "layers/conv1d/cuda/copy_async.h"
#include "layers/conv1d/cuda/unaligned.h"

namespace engine::cuda {

/// Neighbouring packs of a row, aligned as they are in memory.
struct RowPart {
  int64_t first;    ///< position in the row of pack 0's first element; may be negative
  int begin;        ///< packs from here
  int end;          ///< to here are staged;
  int inner_begin;  ///< those from here
  int inner_end;    ///< to here hold elements of the row only
};

__device__ __forceinline__ int clamp_to(int64_t value, int low, int high) {
  return static_cast<int>(max(min(value, int64_t{high}), int64_t{low}));
}

/// Packs [begin, end) of a row of `length` elements, counted from element `first` of it.
template <typename T>
__device__ __forceinline__ RowPart row_part(int64_t first, int begin, int end, int64_t length) {
  constexpr int kWidth = kPackWidth<T>;
  RowPart part{first, begin, end, 0, 0};
  part.inner_begin = clamp_to((kWidth - 1 - first) / kWidth, begin, end);
  part.inner_end = clamp_to((length - first) / kWidth, part.inner_begin, end);
  return part;
}

/// Starts copying a row's part to `target`, pack 0's place, by the `team` threads, a power of two,
/// of which this one is number `lane`. Each copies every team-th pack, the first one pack `lane` or
/// the next that it may. What the row's packs do not hold alone is there when this returns.
template <typename T, int kUnrolled>
__device__ __forceinline__ void stage_row(const RowPart& part, const T* row, int64_t length,
                                          PaddingMode mode, int lane, int team, uint4* target) {
  constexpr int kWidth = kPackWidth<T>;
  int i = (part.inner_begin & -team) + lane;
  if (i < part.inner_begin) i += team;
  const auto* source = reinterpret_cast<const uint4*>(row + part.first) + i;
  uint4* place = target + i;
#pragma unroll kUnrolled
  for (; i < part.inner_end; i += team, source += team, place += team) {
    copy_async_16(place, source);
  }
  const int before = part.inner_begin * kWidth;
  const int inner = (part.inner_end - part.inner_begin) * kWidth;
#pragma unroll 1
  for (int j = part.begin * kWidth + lane; j < part.end * kWidth - inner; j += team) {
    const int at = j < before ? j : j + inner;
    reinterpret_cast<T*>(target)[at] = read_padded(row, part.first + at, length, mode);
  }
}

}  // namespace engine::cuda
