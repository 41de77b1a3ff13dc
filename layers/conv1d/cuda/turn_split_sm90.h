// Windows of x in f32, turned in shared memory to operands of one or two parts in f16
// (half_parts.h).
//
// Turned, a window has units of eight channels for every position, as in turn_window_sm90.h: first
// the big parts of all channels, then the rest. Two parts are as many bytes as before.
#pragma once

#include <cuda_fp16.h>

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
        sides_(sides),
        warp_(warp),
        lane_(threadIdx.x % 32) {}

  /// Turns the window at a shared address, with a scale for what is in it and for `largest`, which
  /// grows to that; both are magnitudes as bits. Returns the inverse of the scale. The warps leave
  /// words at `meeting`, which is another place than in the call before.
  __device__ __forceinline__ float turn(uint32_t window, uint32_t meeting,
                                        uint32_t& largest) const {
    Words boxes[kTurnBoxes], side = {};
#pragma unroll
    for (int box = 0; box < kTurnBoxes; ++box) load_box(window + box * kTurnBoxBytes, boxes[box]);
    const bool has_side = lane_ / kSideWidth < sides_;
    if (has_side) load_side(window + kTurnWindowBytes, side);
    int magnitude = max(static_cast<int>(largest) + kFiniteOnly, largest_of(side));
#pragma unroll
    for (const Words& words : boxes) magnitude = max(magnitude, largest_of(words));
    largest = largest_of_all(magnitude, meeting);
    const HalfScale scale(largest);
    const float factor = __uint_as_float(scale.bits);
#pragma unroll
    for (int box = 0; box < kTurnBoxes; ++box) {
      store(window, box * 32 + lane_, boxes[box], factor);
    }
    if (has_side) store(window, kTurnBoxes * 32 + lane_, side, factor);
    return __uint_as_float(scale.inverse_bits);
  }

 private:
  static constexpr int kSideWidth = kUnitBytes / sizeof(float);  // positions
  static_assert(kMostTurnSides * kSideWidth == 32, "a lane has a position of the sides");
  // Magnitudes are compared as integers from here on, where what is not finite is negative.
  static constexpr int kFiniteOnly = 0x00800000;

  using Words = uint32_t[kSplitUnitChannels];

  __device__ __forceinline__ void load_box(uint32_t box, Words& words) const {
    constexpr int kRowBytes = kSwizzledUnits * kUnitBytes;
    box += warp_ * kSplitUnitChannels * kRowBytes;
#pragma unroll
    for (int i = 0; i < kSplitUnitChannels; ++i) {
      words[i] = load_shared(box + i * kRowBytes + (lane_ * 4 ^ i % 8 * kUnitBytes));
    }
  }
  __device__ __forceinline__ void load_side(uint32_t sides, Words& words) const {
    const uint32_t first = sides + lane_ / kSideWidth * kTurnSideBytes + lane_ % kSideWidth * 4 +
                           warp_ * kSplitUnitChannels * kUnitBytes;
#pragma unroll
    for (int i = 0; i < kSplitUnitChannels; ++i) words[i] = load_shared(first + i * kUnitBytes);
  }
  __device__ __forceinline__ static int largest_of(const Words& words) {
    int largest = kFiniteOnly;
#pragma unroll
    for (const uint32_t word : words) {
      largest = max(largest, static_cast<int>((word & 0x7fffffff) + kFiniteOnly));
    }
    return largest;
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
    return static_cast<uint32_t>(largest - kFiniteOnly);
  }
  __device__ __forceinline__ void store(uint32_t window, int position, const Words& words,
                                        float factor) const {
    uint32_t big[kSplitUnitChannels / 2], rest[kSplitUnitChannels / 2];
#pragma unroll
    for (int i = 0; i < kSplitUnitChannels / 2; ++i) {
      const float a = __uint_as_float(words[2 * i]) * factor;
      const float b = __uint_as_float(words[2 * i + 1]) * factor;
      const __half2 bigs = __floats2half2_rn(a, b);
      big[i] = word_of(bigs);
      rest[i] = word_of(__floats2half2_rn(kRestScale * (a - __low2float(bigs)),
                                          kRestScale * (b - __high2float(bigs))));
    }
    const uint32_t unit = window + (warp_ * positions_ + position) * kUnitBytes;
    store_shared_16(unit, {big[0], big[1], big[2], big[3]});
    if constexpr (kParts == 2) {
      store_shared_16(unit + kSplitUnits * positions_ * kUnitBytes,
                      {rest[0], rest[1], rest[2], rest[3]});
    }
  }
  __device__ __forceinline__ static uint32_t word_of(__half2 pair) {
    uint32_t word;
    memcpy(&word, &pair, sizeof word);
    return word;
  }

  int positions_;
  int sides_;
  int warp_;
  int lane_;
};

}  // namespace engine::cuda
