// Copies part of a row, padding included, to shared memory by packs of 16 bytes.
#pragma once

#include <cstdint>

#include "engine/cuda/pack.h"
#include "layers/conv1d/cuda/copy_async.h"
#include "layers/conv1d/cuda/unaligned.h"

namespace engine::cuda {

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

/// Starts copying a row's part by the `team` threads of which this one is number `lane`; what the
/// row's packs do not hold alone is there when this returns.
template <typename T>
__device__ __forceinline__ void stage_row(const RowPart& part, const T* row, int64_t length,
                                          PaddingMode mode, int lane, int team, uint4* target) {
  constexpr int kWidth = kPackWidth<T>;
  const T* source = row + part.first;
#pragma unroll 2
  for (int i = part.inner_begin + lane; i < part.inner_end; i += team) {
    copy_async_16(target + i, source + i * kWidth);
  }
  const int before = part.inner_begin * kWidth;
  const int inner = (part.inner_end - part.inner_begin) * kWidth;
#pragma unroll 1
  for (int i = lane; i < part.count * kWidth - inner; i += team) {
    const int place = i < before ? i : i + inner;
    reinterpret_cast<T*>(target)[place] = read_padded(row, part.first + place, length, mode);
  }
}

}  // namespace engine::cuda
