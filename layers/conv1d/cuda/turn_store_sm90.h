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

/// Stores an element that lies at a shared address.
template <typename T>
__device__ __forceinline__ void store_element(T* target, uint32_t source) {
  if constexpr (sizeof(T) == 4) {
    *target = __uint_as_float(load_shared(source));
  } else {
    *reinterpret_cast<uint16_t*>(target) = static_cast<uint16_t>(load_shared_half(source));
  }
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
      store_element(y + row * pitch + column, staging + row * staged_pitch + sizeof(T) * column);
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

/// Stores elements of channels [0, count) of half a tile that lie `e` behind column 0: y has it in
/// the first channel, `row` column 0 there.
template <typename Tile, bool kPhased>
__device__ __forceinline__ void store_channels(const TurnGemm& p, typename Tile::T* y,
                                               const typename Tile::T* row, int e, int count,
                                               uint32_t staging) {
  using T = typename Tile::T;
  const auto source = [&](int channel, int place, int pitch) {
    const int skew = elements_behind(row + channel * p.out_length, kUnitBytes);
    return staging + place * pitch + static_cast<uint32_t>(sizeof(T)) * (skew + e);
  };
  if constexpr (kPhased) {
#pragma unroll 8
    for (int channel = 0; channel < count; ++channel, y += p.out_length) {
      store_element(y, source(channel, channel, p.staged_pitch));
    }
  } else {
#pragma unroll 1
    for (int first = 0; first < min(count, 8); ++first, y += p.out_length) {
      const uint32_t from = source(first, 8 * first, Tile::kStagedPitch);
#pragma unroll
      for (int i = 0; i < kTurnHalfRows / 8; ++i) {
        if (first + 8 * i >= count) continue;
        store_element(y + 8 * i * p.out_length, from + i * Tile::kStagedPitch);
      }
    }
  }
}

/// The same as store_rows() of joined samples: a lane stores an element of every row, since copies
/// of parts of short rows would take longer to start.
template <typename Tile, bool kPhased>
__device__ __forceinline__ void store_joined_rows(const TurnGemm& p, const GemmTilePlace& place,
                                                  int first_channel, uint32_t staging, int warp) {
  using T = typename Tile::T;
  const int most = kPhased ? p.half_channels : kTurnHalfRows;
  const int count = min(most, p.group_outputs - first_channel);
  const int64_t before = place.column * p.phases;  // elements of all samples
  T* row = row_of<T>(p, place, first_channel);     // of the first sample, wherever the tile is
  for (int e = 32 * warp + threadIdx.x % 32; e < Tile::kTileColumns * p.phases;
       e += 32 * Tile::kStoringWarps) {
    const int64_t sample = p.by_sample_elements.quotient(before + e);
    const int64_t in_sample = before + e - sample * p.by_sample_elements.divisor() - p.lead;
    if (sample >= p.samples || in_sample < 0 || in_sample >= p.out_length) continue;
    store_channels<Tile, kPhased>(p, row + sample * p.to_next_sample + e, row, e, count, staging);
  }
}

}  // namespace engine::cuda
