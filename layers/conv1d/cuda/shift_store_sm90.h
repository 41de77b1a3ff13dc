// How a tile of finished results goes to y: the multiplying threads put it into shared memory, row
// by row, and others take it from there, so that the next tile's products begin at once.
//
// It lies there as boxes of 64 columns of all rows, as tensor_store() takes them: swizzled units of
// 16 bytes. Where rows of y begin at multiples of 16 bytes the copy engine stores the boxes. Else
// warps store vectors of 16 bytes, shifted to where they are aligned in y.
#pragma once

#include <cstdint>
#include <type_traits>

#include "engine/cuda/device_access.h"
#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/shift_gemm.h"
#include "layers/conv1d/cuda/shift_operand_sm90.h"

namespace engine::cuda {

/// The place of row `row` of box `box` of a tile of `rows` rows.
__device__ __forceinline__ uint32_t staged_row_at(int rows, int box, int row) {
  return (box * rows + row) * kShiftBoxRowBytes;
}

/// Has the copy engine store the tile at `place`. One thread.
template <int kRows>
__device__ __forceinline__ void store_boxes(const ShiftGemm& p, const GemmTilePlace& place,
                                            const char* staging) {
  const auto matrix = static_cast<int>(place.sample * p.groups + place.group);
  for (int box = 0; box < kShiftBoxes; ++box) {
    const int64_t column = place.column + 64 * box;
    if (column >= p.out_length) break;
    tensor_store(p.results, static_cast<int>(column), place.row, matrix,
                 shared_address(staging) + staged_row_at(kRows, box, 0));
  }
  wait_for_stored_reads();
}

/// The eight elements from element kOffset on of two units.
template <int kOffset>
__device__ __forceinline__ uint4 shifted_unit(uint4 a, uint4 b) {
  const uint32_t words[] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
  constexpr int kFirst = kOffset / 2;
  if constexpr (kOffset % 2 == 0) {
    return {words[kFirst], words[kFirst + 1], words[kFirst + 2], words[kFirst + 3]};
  } else {
    constexpr unsigned kMiddle = 0x5432;  // the upper half of one word, the lower of the next
    return {__byte_perm(words[kFirst], words[kFirst + 1], kMiddle),
            __byte_perm(words[kFirst + 1], words[kFirst + 2], kMiddle),
            __byte_perm(words[kFirst + 2], words[kFirst + 3], kMiddle),
            __byte_perm(words[kFirst + 3], words[kFirst + 4], kMiddle)};
  }
}

/// Stores those of the eight elements from `target` on, which are columns `column` and on, that lie
/// in [low, high).
__device__ __forceinline__ void store_part(uint16_t* target, uint4 unit, int column, int low,
                                           int high) {
  const uint32_t words[] = {unit.x, unit.y, unit.z, unit.w};
#pragma unroll
  for (int e = 0; e < kShiftWidth; ++e) {
    const auto bits = static_cast<uint16_t>(words[e / 2] >> (16 * (e % 2)));
    if (column + e >= low && column + e < high) target[e] = bits;
  }
}

/// Which columns of a tile's rows are stored. Tiles that overlap meet at sectors of each row.
class StoredColumns {
 public:
  __device__ __forceinline__ StoredColumns(const ShiftGemm& p, const GemmTilePlace& place)
      : last_(static_cast<int>(min(p.out_length - place.column, int64_t{kShiftColumns}))),
        meets_before_(p.advance < kShiftColumns && !place.first_of_sample),
        meets_behind_(p.advance < kShiftColumns && !place.last_of_sample),
        advance_(p.advance) {}

  /// The first, and the one behind the last, of a row that begins `phase` elements behind a sector.
  __device__ __forceinline__ int low(int phase) const {
    return meets_before_ ? next_sector(phase, 0) : 0;
  }
  __device__ __forceinline__ int high(int phase) const {
    return meets_behind_ ? min(last_, next_sector(phase, advance_)) : last_;
  }

 private:
  __device__ __forceinline__ static int next_sector(int phase, int column) {
    return column + (-(phase + column) & 15);
  }
  int last_;
  bool meets_before_;
  bool meets_behind_;
  int advance_;
};

/// Every eighth row of a tile: in y they begin equally far behind a multiple of 16 bytes.
struct StoredRows {
  uint16_t* y;       ///< column 0 of the first
  int64_t pitch;     ///< elements of y from one to the next
  uint32_t staging;  ///< the shared address of the tile
  int first;         ///< row
  int end;
  int low;  ///< columns [low, high) are stored
  int high;

  /// Stores the vectors of y at `column`, which begin kOffset elements behind a unit.
  template <int kRows, int kOffset>
  __device__ __forceinline__ void store(int column) const {
    constexpr int kLastUnit = kShiftBoxes * 8 - 1;
    constexpr int kAtOnce = 8;
    const int unit = (column - kOffset) / kShiftWidth;  // -1 for one that is not used
    const auto address = [&](int u) {
      const int inside = min(max(u, 0), kLastUnit);
      return staging + staged_row_at(kRows, inside / 8, 0) + (inside % 8 ^ first) * 16;
    };
    const uint32_t a = address(unit), b = address(unit + 1);
    const auto load = [&](int row) {
      const uint4 left = load_shared_16(a + row * kShiftBoxRowBytes);
      return shifted_unit<kOffset>(
          left, kOffset == 0 ? left : load_shared_16(b + row * kShiftBoxRowBytes));
    };
    const bool whole = column >= low && column + kShiftWidth <= high;
    uint16_t* target = y + column;
    int row = first;
    if (whole) {
#pragma unroll 1
      for (; row + (kAtOnce - 1) * 8 < end; row += kAtOnce * 8) {
        uint4 units[kAtOnce];
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) units[i] = load(row + 8 * i);
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i, target += pitch) store_16(target, units[i]);
      }
    }
#pragma unroll 1
    for (; row < end; row += 8, target += pitch) {
      if (whole) {
        store_16(target, load(row));
      } else {
        store_part(target, load(row), column, low, high);
      }
    }
  }
};

/// Stores rows of a tile that begin anywhere; `warp` of `warps` its part.
template <int kRows>
__device__ __forceinline__ void store_rows(const ShiftGemm& p, const GemmTilePlace& place,
                                           const char* staging, int warp, int warps) {
  const int64_t group_row = (place.sample * p.groups + place.group) * p.group_outputs + place.row;
  auto* y = static_cast<uint16_t*>(p.y) + group_row * p.out_length + place.column;
  const StoredColumns columns(p, place);
  const int end = min(kRows, p.group_outputs - place.row);
  for (int first = warp; first < min(end, 8); first += warps) {
    // Eight rows are a multiple of 16 bytes, though not of a sector where they have odd lengths:
    // those rows' tiles meet at 16 bytes.
    uint16_t* row = y + first * p.out_length;
    const int phase = static_cast<int>(reinterpret_cast<uintptr_t>(row) % 32 / 2);
    const StoredRows rows{row, 8 * p.out_length,   shared_address(staging), first,
                          end, columns.low(phase), columns.high(phase)};
    for (int column = static_cast<int>(threadIdx.x % 32) * kShiftWidth - phase; column < rows.high;
         column += 32 * kShiftWidth) {
      if (column + kShiftWidth <= rows.low) continue;
      const auto store = [&](auto offset) { rows.store<kRows, decltype(offset)::value>(column); };
      switch (-phase & (kShiftWidth - 1)) {
        case 0:
          store(std::integral_constant<int, 0>());
          break;
        case 1:
          store(std::integral_constant<int, 1>());
          break;
        case 2:
          store(std::integral_constant<int, 2>());
          break;
        case 3:
          store(std::integral_constant<int, 3>());
          break;
        case 4:
          store(std::integral_constant<int, 4>());
          break;
        case 5:
          store(std::integral_constant<int, 5>());
          break;
        case 6:
          store(std::integral_constant<int, 6>());
          break;
        default:
          store(std::integral_constant<int, 7>());
      }
    }
  }
}

}  // namespace engine::cuda
