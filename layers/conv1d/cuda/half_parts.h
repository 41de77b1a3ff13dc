// f32 values as f16, which has as many bits as TF32 and which tensor cores multiply twice as fast:
// with a power of two `scale`, which brings the largest magnitude of a block of values to [2^14,
// 2^15),
//   scale * value = big + rest / 2^11,  big = f16(scale * value),
//   rest = f16(2^11 (scale * value - big)).
// TF32 is the big part alone: 11 bits, of values down to 2^-28 of the largest; of smaller ones what
// is less than 2^-39 of the largest is lost. f32 has both parts: 22 bits, of values down to 2^-27
// of the largest; of smaller ones what is less than 2^-50 of it is lost. Its products are big big +
// (big rest + rest big) / 2^11; rest rest is less than f32 rounds. Where the largest value times
// the largest weight is less than 2^-110, the factor that scales terms with a rest back is less
// than any f32, and they are lost.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>

#include "engine/cuda/host_device.h"

namespace engine::cuda {

inline constexpr float kRestScale = 2048.0f;

/// A power of two and its inverse, as bits of f32.
struct HalfScale {
  uint32_t bits;
  uint32_t inverse_bits;

  /// For values whose largest magnitude has these bits; it is finite. With headroom, magnitudes may
  /// be 2^headroom times as large.
  explicit ENGINE_HOST_DEVICE HalfScale(uint32_t largest_bits, uint32_t headroom = 0) {
    constexpr uint32_t kBias = 127, kTop = 14;
    constexpr uint32_t kMost = 2 * kBias - 1;  // whose inverse is no subnormal number
    const uint32_t wanted = 2 * kBias + kTop - headroom - (largest_bits >> 23);
    const uint32_t exponent = wanted < kMost ? wanted : kMost;
    bits = exponent << 23;
    inverse_bits = (2 * kBias - exponent) << 23;
  }
};

#if defined(__CUDACC__) || defined(ENGINE_EMULATED)

/// The larger one, as bits, of a magnitude and that of a value, where that is finite.
__device__ __forceinline__ uint32_t larger_magnitude(uint32_t magnitude, float value) {
  constexpr uint32_t kInfinity = 0x7f800000;
  const uint32_t bits = __float_as_uint(value) & 0x7fffffffu;
  return bits < kInfinity ? max(magnitude, bits) : magnitude;
}

/// What f32 of a sample and group is scaled for as arranged units: the largest of some magnitudes,
/// with headroom for the others, which hardly any data exceed; else the largest of all. The bounds
/// above are 2^kHeadroom times as high then.
struct UnitScale {
  static constexpr uint32_t kHeadroom = 2;

  uint32_t drawn;      // bits of the largest of some
  uint32_t exceeding;  // of the largest, where it has no room; else 0

  __device__ __forceinline__ HalfScale drawn_scale() const { return HalfScale(drawn, kHeadroom); }
  __device__ __forceinline__ HalfScale scale() const {
    return exceeding != 0 ? HalfScale(exceeding) : drawn_scale();
  }
  /// Bits of the least magnitude that has no room.
  __device__ __forceinline__ uint32_t limit() const {
    return min((drawn >> 23) + kHeadroom + 1, 255u) << 23;
  }
};

/// Two neighbouring values, which are scaled already, as words of two in f16.
struct HalfPartsOfPair {
  uint32_t big;
  uint32_t rest;

  __device__ __forceinline__ HalfPartsOfPair(float a, float b) {
    const __half2 bigs = __floats2half2_rn(a, b);
    const __half2 rests = __floats2half2_rn(kRestScale * (a - __low2float(bigs)),
                                            kRestScale * (b - __high2float(bigs)));
    memcpy(&big, &bigs, sizeof big);
    memcpy(&rest, &rests, sizeof rest);
  }
};

#endif

}  // namespace engine::cuda
