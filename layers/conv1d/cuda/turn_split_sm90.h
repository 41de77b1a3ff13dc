// Windows of x in f32, turned in shared memory to operands of one or two parts in f16
// (half_parts.h).
//
// Turned, a window has units of eight channels for every position, as in turn_window_sm90.h: first
// the big parts of all channels, then the rest. Two parts are as many bytes as before.
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/half_parts.h"
#include "layers/conv1d/cuda/turn_plan.h"
#include "layers/conv1d/cuda/turn_window_sm90.h"

namespace engine::cuda {

/// A unit of each position of a window with its sides, in the registers of a warp.
class SplitUnit {
 public:
  /// Unit `unit` of kUnitsOfStage.
  __device__ __forceinline__ SplitUnit(int sides, int unit)
      : positions_(kTurnBoxes * 32 + sides * kSideWidth),
        unit_(unit),
        lane_(threadIdx.x % 32),
        has_side_(lane_ / kSideWidth < sides) {}

  /// Loads it from the window at a shared address.
  __device__ __forceinline__ void load(uint32_t window) {
#pragma unroll
    for (int box = 0; box < kTurnBoxes; ++box) {
      load_box(window + box * kTurnBoxBytes, boxes_[box]);
    }
    if (has_side_) load_side(window + kTurnWindowBytes);
  }
  /// Its largest finite magnitude, as bits, for all lanes.
  __device__ __forceinline__ uint32_t largest() const {
    float all = larger(0.0f, side_);
#pragma unroll
    for (const Words& words : boxes_) all = larger(all, words);
    uint32_t magnitude = __float_as_uint(all);
    if (isinf(all)) {
      magnitude = larger_finite(0, side_);
#pragma unroll
      for (const Words& words : boxes_) magnitude = larger_finite(magnitude, words);
    }
    return __reduce_max_sync(0xffffffffu, magnitude);
  }
  /// Stores it, turned, where other units have been loaded from.
  template <int kParts>
  __device__ __forceinline__ void store(uint32_t window, float scale) const {
#pragma unroll
    for (int box = 0; box < kTurnBoxes; ++box) {
      store_words<kParts>(window, box * 32 + lane_, boxes_[box], scale);
    }
    if (has_side_) store_words<kParts>(window, kTurnBoxes * 32 + lane_, side_, scale);
  }

 private:
  static constexpr int kSideWidth = kUnitBytes / sizeof(float);  // positions
  static_assert(kMostTurnSides * kSideWidth == 32, "a lane has a position of the sides");

  using Words = uint32_t[kOperandUnit];  // of a position

  __device__ __forceinline__ void load_box(uint32_t box, Words& words) const {
    constexpr int kRowBytes = kSwizzledUnits * kUnitBytes;
    box += unit_ * kOperandUnit * kRowBytes;
#pragma unroll
    for (int i = 0; i < kOperandUnit; ++i) {
      words[i] = load_shared(box + i * kRowBytes + (lane_ * 4 ^ i * kUnitBytes));
    }
  }
  __device__ __forceinline__ void load_side(uint32_t sides) {
    const uint32_t first = sides + lane_ / kSideWidth * kTurnSideBytes + lane_ % kSideWidth * 4 +
                           unit_ * kOperandUnit * kUnitBytes;
#pragma unroll
    for (int i = 0; i < kOperandUnit; ++i) side_[i] = load_shared(first + i * kUnitBytes);
  }
  // NaN is left out.
  __device__ __forceinline__ static float larger(float magnitude, const Words& words) {
#pragma unroll
    for (const uint32_t word : words) magnitude = fmaxf(magnitude, fabsf(__uint_as_float(word)));
    return magnitude;
  }
  __device__ __forceinline__ static uint32_t larger_finite(uint32_t magnitude, const Words& words) {
#pragma unroll
    for (const uint32_t word : words) {
      magnitude = larger_magnitude(magnitude, __uint_as_float(word));
    }
    return magnitude;
  }
  template <int kParts>
  __device__ __forceinline__ void store_words(uint32_t window, int position, const Words& words,
                                              float scale) const {
    uint32_t big[kOperandUnit / 2], rest[kOperandUnit / 2];
#pragma unroll
    for (int i = 0; i < kOperandUnit / 2; ++i) {
      const HalfPartsOfPair parts(__uint_as_float(words[2 * i]) * scale,
                                  __uint_as_float(words[2 * i + 1]) * scale);
      big[i] = parts.big;
      rest[i] = parts.rest;
    }
    const uint32_t unit = window + (unit_ * positions_ + position) * kUnitBytes;
    store_shared_16(unit, {big[0], big[1], big[2], big[3]});
    if constexpr (kParts == 2) {
      store_shared_16(unit + kUnitsOfStage * positions_ * kUnitBytes,
                      {rest[0], rest[1], rest[2], rest[3]});
    }
  }

  int positions_;
  int unit_;
  int lane_;
  bool has_side_;
  Words boxes_[kTurnBoxes];
  Words side_ = {};
};

}  // namespace engine::cuda
