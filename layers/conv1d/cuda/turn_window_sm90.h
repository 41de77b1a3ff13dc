// Windows of x, turned in shared memory from how x lies to operands of wgmma.
//
// A window is what tensor_copy() leaves: boxes of kTurnChannels rows of eight units of 16 bytes,
// swizzled, and behind them its sides, boxes of one unit a row. Turned, every position has a unit
// of some channels, and positions follow each other, for the first channels, then for the next: an
// operand without swizzle, K-major, at every position, so that all taps read the same. The units of
// all channels at some positions are turned at once, and lie in as many bytes as before.
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/turn_gemm.h"
#include "layers/conv1d/cuda/window_units.h"

namespace engine::cuda {

/// How 16-bit elements are turned: 32 channels x 8 positions at once, of which a lane reads the row
/// of a channel and writes those of four positions, whose units have eight channels.
class HalfTurner {
 public:
  static constexpr int kUnitPositions = 8;

  /// `positions` of a turned window.
  __device__ __forceinline__ explicit HalfTurner(int positions) {
    static_assert(kTurnChannels == 32, "a lane has a channel");
    const int lane = threadIdx.x % 32;
    row_in_box_ = (lane * kSwizzledUnits + lane % 8) * kUnitBytes;
    row_in_side_ = lane * kUnitBytes;
    turned_ = (lane / 8 * positions + lane % 8) * kUnitBytes;
  }
  /// Takes part `part` of kSwizzledUnits of a box; where it goes is counted in boxes and parts.
  __device__ __forceinline__ void load(uint32_t box, int part, uint32_t (&words)[4]) const {
    load_transposed(box + (row_in_box_ ^ part * kUnitBytes), words);
  }
  __device__ __forceinline__ void store(uint32_t window, int box, int part,
                                        const uint32_t (&words)[4]) const {
    store_side(window, box * kSwizzledUnits + part, words);
  }
  /// The same for a side, whose place is counted in units.
  __device__ __forceinline__ void load_side(uint32_t side, uint32_t (&words)[4]) const {
    load_transposed(side + row_in_side_, words);
  }
  __device__ __forceinline__ void store_side(uint32_t window, int unit,
                                             const uint32_t (&words)[4]) const {
    store_matrices(window + turned_ + unit * kUnitPositions * kUnitBytes, words);
  }

 private:
  uint32_t row_in_box_;
  uint32_t row_in_side_;
  uint32_t turned_;
};

/// Turns windows with their sides where they lie. kWarps warps, of which this is number `warp`,
/// meet at the named barrier kMeeting.
template <int kWarps, int kMeeting>
class WindowTurner {
 public:
  __device__ __forceinline__ WindowTurner(int sides, int warp)
      : sides_(sides), warp_(warp), turner_((kBoxedUnits + sides) * HalfTurner::kUnitPositions) {}

  /// Turns the window at a shared address.
  __device__ __forceinline__ void turn(uint32_t window) const {
    uint32_t boxed[kMostParts][kTurnBoxes][4], sides[kMostSides][4];
#pragma unroll
    for (int i = 0; i < kMostParts; ++i) {
#pragma unroll
      for (int box = 0; box < kTurnBoxes; ++box) {
        if (part(i) < kSwizzledUnits) {
          turner_.load(window + box * kTurnBoxBytes, part(i), boxed[i][box]);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kMostSides; ++i) {
      if (side(i) < sides_) {
        turner_.load_side(window + kTurnWindowBytes + side(i) * kTurnSideBytes, sides[i]);
      }
    }
    named_barrier(kMeeting, 32 * kWarps);
#pragma unroll
    for (int i = 0; i < kMostParts; ++i) {
#pragma unroll
      for (int box = 0; box < kTurnBoxes; ++box) {
        if (part(i) < kSwizzledUnits) turner_.store(window, box, part(i), boxed[i][box]);
      }
    }
#pragma unroll
    for (int i = 0; i < kMostSides; ++i) {
      if (side(i) < sides_) turner_.store_side(window, kBoxedUnits + side(i), sides[i]);
    }
  }

 private:
  static constexpr int kBoxedUnits = kTurnBoxes * kSwizzledUnits;
  // Of a warp.
  static constexpr int kMostParts = (kSwizzledUnits + kWarps - 1) / kWarps;
  static constexpr int kMostSides = (kMostTurnSides + kWarps - 1) / kWarps;

  __device__ __forceinline__ int part(int i) const { return warp_ + i * kWarps; }
  // Those with fewer parts have the first sides.
  __device__ __forceinline__ int side(int i) const { return kWarps - 1 - warp_ + i * kWarps; }

  int sides_;
  int warp_;
  HalfTurner turner_;
};

}  // namespace engine::cuda
