// The first operand of the GEMM of shifted operands: x, as its threads take it from a window into
// registers, shifted by whole positions between lanes.
//
// A window is what tensor_copy() leaves: boxes of kShiftChannels rows of 64 elements, swizzled
// units of 16 bytes. Its sides are the units of all rows that come before it, then those behind it.
// A warp has 32 columns, four units, which are two blocks of 16 rows of the operand. ldmatrix
// transposes units of eight channels: lane 4 g + t then holds, of position g of a unit, channels 2
// t and 2 t +
// 1. So a shift moves registers between lanes, and never halves of them.
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/shift_plan.h"

namespace engine::cuda {

inline constexpr int kShiftBoxRowBytes = 128;
inline constexpr int kShiftBoxBytes = kShiftChannels * kShiftBoxRowBytes;
inline constexpr int kShiftBoxes = kShiftColumns / 64;
inline constexpr int kProductChannels = 16;
inline constexpr int kWarpUnits = 4;

/// The units of a warp for one product's channels: [unit][half of the channels].
struct ShiftUnits {
  uint32_t own[kWarpUnits][2];
  uint32_t left[2];  ///< the neighbours
  uint32_t right[2];

  /// Of unit `u`, which is -1 or kWarpUnits for a neighbour.
  __device__ __forceinline__ uint32_t of(int u, int half) const {
    return u < 0 ? left[half] : u == kWarpUnits ? right[half] : own[u % kWarpUnits][half];
  }
};

/// Where a warp's units lie in any window.
class WarpUnits {
 public:
  /// Of warp `warp` of those that have the columns of a tile.
  __device__ __forceinline__ explicit WarpUnits(int warp) {
    const int lane = threadIdx.x % 32, row = lane % 8, matrix = lane / 8;
    const int first = warp % 2 * kWarpUnits;  // unit of the box
    const uint32_t box = warp / 2 * kShiftBoxBytes;
    // Matrices: two units of the first eight channels, and of the second.
    const auto unit_at = [&](int unit, int half) -> uint32_t {
      return (half * 8 + row) * kShiftBoxRowBytes + (unit ^ row) * 16;
    };
    for (int b = 0; b < 2; ++b) units_[b] = box + unit_at(first + 2 * b + matrix % 2, matrix / 2);
    // And of the neighbours: both halves of the right one, then of the left one.
    const bool right = matrix < 2;
    const int half = matrix % 2;
    const int neighbour = first + (right ? kWarpUnits : -1);
    const bool inside = right ? warp < 2 * kShiftBoxes - 1 : warp > 0;
    in_window_ = inside;
    if (inside) {
      const int other_box = neighbour < 0 ? -1 : neighbour / 8;
      neighbour_ = box + other_box * kShiftBoxBytes + unit_at(neighbour & 7, half);
    } else {
      neighbour_ = (right ? kShiftSideBytes / 2 : 0) + (half * 8 + row) * 16;
    }
  }

  /// Loads the units of product `k` of the window at the shared address `window`.
  __device__ __forceinline__ void load(uint32_t window, int k, ShiftUnits& units) const {
#pragma unroll
    for (int b = 0; b < 2; ++b) {
      uint32_t words[4];
      load_transposed(window + k * (kProductChannels * kShiftBoxRowBytes) + units_[b], words);
#pragma unroll
      for (int i = 0; i < 4; ++i) units.own[2 * b + i % 2][i / 2] = words[i];
    }
  }
  /// Loads their neighbours.
  __device__ __forceinline__ void load_neighbours(uint32_t window, uint32_t sides, int k,
                                                  ShiftUnits& units) const {
    const uint32_t product = in_window_ ? window + k * (kProductChannels * kShiftBoxRowBytes)
                                        : sides + k * (kProductChannels * 16);
    uint32_t words[4];
    load_transposed(product + neighbour_, words);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      units.right[half] = words[half];
      units.left[half] = words[2 + half];
    }
  }

 private:
  uint32_t units_[2];   // from a window
  uint32_t neighbour_;  // from a window or its sides
  bool in_window_;
};

/// The operand of a tap: of each block the registers that wgmma_gathered() takes.
struct ShiftedOperand {
  uint32_t blocks[2][4];

  /// Units as they are.
  __device__ __forceinline__ void take(const ShiftUnits& units) {
#pragma unroll
    for (int u = 0; u < kWarpUnits; ++u) {
#pragma unroll
      for (int half = 0; half < 2; ++half) blocks[u / 2][u % 2 + 2 * half] = units.own[u][half];
    }
  }
  /// Units from `shift` positions later on.
  __device__ __forceinline__ void take_shifted(const ShiftUnits& units, int shift) {
    const int by = shift & (kShiftWidth - 1);  // from the unit before, or the same
    const bool from_next = static_cast<int>(threadIdx.x % 32 / 4) < by;  // what this lane gives
    const int source = (threadIdx.x + 4 * by) & 31;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t row[kWarpUnits + 1];  // of units that are given
#pragma unroll
      for (int u = 0; u <= kWarpUnits; ++u) {
        row[u] = shift < 0 ? units.of(u - 1, half) : units.of(u, half);
      }
#pragma unroll
      for (int u = 0; u < kWarpUnits; ++u) {
        const uint32_t given = from_next ? row[u + 1] : row[u];
        blocks[u / 2][u % 2 + 2 * half] = __shfl_sync(0xffffffffu, given, source);
      }
    }
  }
};

}  // namespace engine::cuda
