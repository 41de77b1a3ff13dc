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

inline constexpr int kSplitUnitChannels = 8;
inline constexpr int kSplitUnits = kTurnChannels / kSplitUnitChannels;  // of one part

/// Turns windows with their sides where they lie. As many warps as there are units, of which this
/// one has those of unit `warp`, meet at the named barrier kMeeting.
template <int kParts, int kMeeting>
class SplitTurner {
 public:
  static constexpr int kWarps = kSplitUnits;

  __device__ __forceinline__ SplitTurner(int sides, int warp)
      : positions_(kTurnBoxes * 32 + sides * kSideWidth),
        warp_(warp),
        lane_(threadIdx.x % 32),
        has_side_(lane_ / kSideWidth < sides) {}

  /// Turns the window at a shared address, with a scale for what is in it and for `largest`, which
  /// grows to that; both are magnitudes as bits. Returns the inverse of the scale. The warps leave
  /// words at `meeting`, which is another place than in the call before.
  __device__ __forceinline__ float turn(uint32_t window, uint32_t meeting,
                                        uint32_t& largest) const {
    Words boxes[kTurnBoxes], side = {};
#pragma unroll
    for (int box = 0; box < kTurnBoxes; ++box) load_box(window + box * kTurnBoxBytes, boxes[box]);
    if (has_side_) load_side(window + kTurnWindowBytes, side);
    int magnitude = larger(static_cast<int>(largest) + kNoMagnitude, side);
#pragma unroll
    for (const Words& words : boxes) magnitude = larger(magnitude, words);
    largest = largest_of_all(magnitude, meeting);
    const HalfScale scale(largest);
    const float factor = __uint_as_float(scale.bits);
#pragma unroll
    for (int box = 0; box < kTurnBoxes; ++box) {
      store(window, box * 32 + lane_, boxes[box], factor);
    }
    if (has_side_) store(window, kTurnBoxes * 32 + lane_, side, factor);
    return __uint_as_float(scale.inverse_bits);
  }

 private:
  static constexpr int kSideWidth = kUnitBytes / sizeof(float);  // positions
  static_assert(kMostTurnSides * kSideWidth == 32, "a lane has a position of the sides");

  using Words = uint32_t[kSplitUnitChannels];  // of a position

  __device__ __forceinline__ void load_box(uint32_t box, Words& words) const {
    constexpr int kRowBytes = kSwizzledUnits * kUnitBytes;
    box += warp_ * kSplitUnitChannels * kRowBytes;
#pragma unroll
    for (int i = 0; i < kSplitUnitChannels; ++i) {
      words[i] = load_shared(box + i * kRowBytes + (lane_ * 4 ^ i * kUnitBytes));
    }
  }
  __device__ __forceinline__ void load_side(uint32_t sides, Words& words) const {
    const uint32_t first = sides + lane_ / kSideWidth * kTurnSideBytes + lane_ % kSideWidth * 4 +
                           warp_ * kSplitUnitChannels * kUnitBytes;
#pragma unroll
    for (int i = 0; i < kSplitUnitChannels; ++i) words[i] = load_shared(first + i * kUnitBytes);
  }
  __device__ __forceinline__ static int larger(int magnitude, const Words& words) {
#pragma unroll
    for (const uint32_t word : words) {
      magnitude = larger_magnitude(magnitude, __uint_as_float(word));
    }
    return magnitude;
  }
  // That of all warps, each of which gives its lanes' own.
  __device__ __forceinline__ uint32_t largest_of_all(int mine, uint32_t meeting) const {
    int largest = __reduce_max_sync(0xffffffffu, mine);
    if (lane_ == 0) store_shared(meeting + 4 * warp_, static_cast<uint32_t>(largest));
    named_barrier(kMeeting, 32 * kWarps);
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      largest = max(largest, static_cast<int>(load_shared(meeting + 4 * w)));
    }
    return magnitude_bits(largest);
  }
  __device__ __forceinline__ void store(uint32_t window, int position, const Words& words,
                                        float scale) const {
    uint32_t big[kSplitUnitChannels / 2], rest[kSplitUnitChannels / 2];
#pragma unroll
    for (int i = 0; i < kSplitUnitChannels / 2; ++i) {
      const HalfPartsOfPair parts(__uint_as_float(words[2 * i]) * scale,
                                  __uint_as_float(words[2 * i + 1]) * scale);
      big[i] = parts.big;
      rest[i] = parts.rest;
    }
    const uint32_t unit = window + (warp_ * positions_ + position) * kUnitBytes;
    store_shared_16(unit, {big[0], big[1], big[2], big[3]});
    if constexpr (kParts == 2) {
      store_shared_16(unit + kSplitUnits * positions_ * kUnitBytes,
                      {rest[0], rest[1], rest[2], rest[3]});
    }
  }

  int positions_;
  int warp_;
  int lane_;
  bool has_side_;
};

}  // namespace engine::cuda
