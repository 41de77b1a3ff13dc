// How a tile of finished results goes to y: from shared memory, where rows begin as far behind a
// multiple of 16 bytes as in y (turn_stage_sm90.h), the copy engine takes them while the next tile
// is multiplied.
#pragma once

#include <cstdint>
#include <type_traits>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/gemm_block_sm90.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/output_row.h"
#include "layers/conv1d/cuda/turn_gemm.h"

namespace engine::cuda {

/// Which elements of a tile's rows are stored, of one phase. Tiles that overlap meet at sectors of
/// each row.
template <typename Tile>
class StoredColumns {
 public:
  __device__ __forceinline__ StoredColumns(const TurnGemm& p, const GemmTilePlace& place)
      : last_(static_cast<int>(min(p.out_length - place.column, int64_t{kColumns}))),
        meets_before_(p.advance < kColumns && !place.first_of_sample),
        meets_behind_(p.advance < kColumns && !place.last_of_sample),
        advance_(p.advance) {}

  /// The first, and the one behind the last, of a row that begins `phase` elements behind a sector.
  __device__ __forceinline__ int low(int phase) const {
    return meets_before_ ? next_sector(phase, 0) : 0;
  }
  __device__ __forceinline__ int high(int phase) const {
    return meets_behind_ ? min(last_, next_sector(phase, advance_)) : last_;
  }

 private:
  static constexpr int kColumns = Tile::kTileColumns;
  static constexpr int kSector = 32 / sizeof(typename Tile::T);

  __device__ __forceinline__ static int next_sector(int phase, int column) {
    return column + (-(phase + column) & (kSector - 1));
  }
  int last_;
  bool meets_before_;
  bool meets_behind_;
  int advance_;
};

/// The same of several phases, whose tiles do not overlap.
class StoredPhases {
 public:
  __device__ __forceinline__ StoredPhases(const TurnGemm& p, const GemmTilePlace& place)
      : low_(place.first_of_sample ? p.lead : 0),
        high_(static_cast<int>(
            min(p.out_length + p.lead - place.column * p.phases, int64_t{p.advance} * p.phases))) {}

  __device__ __forceinline__ int low(int) const { return low_; }
  __device__ __forceinline__ int high(int) const { return high_; }

 private:
  int low_;
  int high_;
};

/// Column 0 of a tile in channel `channel` of the group.
template <typename T>
__device__ __forceinline__ T* row_of(const TurnGemm& p, const GemmTilePlace& place, int channel) {
  const int64_t row = (place.sample * p.groups + place.group) * p.group_outputs + channel;
  return static_cast<T*>(p.y) + row * p.out_length + place.column * p.phases - p.lead;
}

/// How many elements an address lies behind a multiple of `bytes`.
template <typename T>
__device__ __forceinline__ int elements_behind(const T* address, int bytes) {
  return static_cast<int>(reinterpret_cast<uintptr_t>(address) % bytes / sizeof(T));
}

/// Every eighth channel of half a tile.
template <typename T>
struct StoredRows {
  T* y;              ///< column 0 of the first
  int64_t pitch;     ///< elements of y from one to the next
  uint32_t staging;  ///< the shared address of column 0 of the first
  uint32_t staged_pitch;
  int count;

  /// Has the copy engine store elements [first, last), which begin and end at multiples of 16
  /// bytes.
  __device__ __forceinline__ void store(int first, int last) const {
    constexpr int kSize = sizeof(T);
    T* target = y + first;
    const uint32_t source = uniform(staging + kSize * first);
    const uint32_t bytes = uniform(kSize * (last - first));
#pragma unroll
    for (int i = 0; i < kTurnHalfRows / 8; ++i, target += pitch) {
      if (i < count) bulk_store(target, source + i * staged_pitch, bytes);
    }
  }
  /// Stores elements [first, last), less than a unit of 16 bytes.
  __device__ __forceinline__ void store_few(int first, int last) const {
    for (int at = threadIdx.x % 32; at < 8 * count; at += 32) {
      const int row = at / 8, column = first + at % 8;
      if (column >= last) continue;
      const uint32_t source = staging + row * staged_pitch + sizeof(T) * column;
      T* target = y + row * pitch + column;
      if constexpr (sizeof(T) == 4) {
        *target = __uint_as_float(load_shared(source));
      } else {
        *reinterpret_cast<uint16_t*>(target) = static_cast<uint16_t>(load_shared_half(source));
      }
    }
  }
};

/// Stores the rows of half a tile from channel `first_channel` of the group on: warp `warp` of
/// `warps` its part. Returns when shared memory has been read. In shared memory every eighth
/// channel follows the other, but of several phases (kPhased) they lie in order.
template <typename Tile, bool kPhased>
__device__ __forceinline__ void store_rows(const TurnGemm& p, const GemmTilePlace& place,
                                           int first_channel, uint32_t staging, int warp,
                                           int warps) {
  using T = typename Tile::T;
  constexpr int kWidth = kUnitBytes / sizeof(T);
  const std::conditional_t<kPhased, StoredPhases, StoredColumns<Tile>> columns(p, place);
  const uint32_t to_next = kPhased ? p.staged_pitch : 8 * Tile::kStagedPitch;
  const int most = kPhased ? p.half_channels : kTurnHalfRows;
  const int end = min(most, p.group_outputs - first_channel);
  for (int first = warp; first < min(end, 8); first += warps) {
    T* y = row_of<T>(p, place, first_channel + first);
    // Eight rows are a multiple of 16 bytes, though of 16-bit rows of odd lengths not of a sector:
    // their tiles meet at 16 bytes.
    const int phase = elements_behind(y, 32), skew = phase % kWidth;
    const uint32_t source = staging + first * to_next + sizeof(T) * skew;
    const uint32_t pitch = kPhased ? 8 * p.staged_pitch : Tile::kStagedPitch;
    const StoredRows<T> rows{y, 8 * p.out_length, source, pitch, (end - first + 7) / 8};
    const int low = columns.low(phase), high = columns.high(phase);
    const int whole = min(low + (-(skew + low) & (kWidth - 1)), high);
    const int whole_end = max(high - ((skew + high) & (kWidth - 1)), whole);
    if (whole < whole_end) rows.store(whole, whole_end);
    if (low < whole) rows.store_few(low, whole);
    if (whole_end < high) rows.store_few(whole_end, high);
  }
  wait_for_stored_reads();
}

}  // namespace engine::cuda
