// f32 values as two parts in f16, which tensor cores multiply at twice the rate of two parts in
// TF32 and which hold as many bits: with a power of two `scale`,
//   scale * value = big + rest,  big = f16(scale * value),  rest = f16(scale * value - big).
// The scale of a block of values brings the largest magnitude to [2^14, 2^15). Values down to 2^-16
// of the largest keep 22 bits behind the sign; of smaller ones what is less than 2^-40 of the
// largest is lost. A product of two such values is big big + big rest + rest big; rest rest is less
// than f32 rounds.
#pragma once

#include <cstdint>

#include "engine/cuda/host_device.h"

namespace engine::cuda {

/// A power of two and its inverse, as bits of f32.
struct HalfScale {
  uint32_t bits;
  uint32_t inverse_bits;

  /// For values whose largest magnitude has these bits; it is finite.
  explicit ENGINE_HOST_DEVICE HalfScale(uint32_t largest_bits) {
    constexpr uint32_t kBias = 127, kTop = 14;
    constexpr uint32_t kMost = 2 * kBias - 1;  // whose inverse is no subnormal number
    const uint32_t wanted = 2 * kBias + kTop - (largest_bits >> 23);
    const uint32_t exponent = wanted < kMost ? wanted : kMost;
    bits = exponent << 23;
    inverse_bits = (2 * kBias - exponent) << 23;
  }
};

}  // namespace engine::cuda
