// The units of 16 bytes that a window of input consists of (GemmPlan): how they are rounded and
// where they go in shared memory.
#pragma once

#include <cstdint>

#include "engine/cuda/device_access.h"
#include "layers/conv1d/cuda/implicit_gemm.h"

namespace engine::cuda {

/// Rounds to TF32, halves away from zero: the tensor core drops the low 13 bits. Infinities stay
/// what they are; NaN is left alone, since adding might overflow it.
__device__ __forceinline__ float round_to_tf32(float value) {
  return isnan(value) ? value : __uint_as_float(__float_as_uint(value) + 0x1000u);
}

/// The value that the tensor core reads.
__device__ __forceinline__ float as_tf32(float rounded) {
  return __uint_as_float(__float_as_uint(rounded) & 0xffffe000u);
}

/// One 16-byte unit of 16-bit or f32 elements, in the order of the reduction.
template <typename T>
inline constexpr int kUnitElements = kUnitBytes / sizeof(T);

/// Stores a unit of f32, rounded, where it exists; with two parts, what rounding leaves goes
/// `small` units further.
template <int kParts>
__device__ __forceinline__ void store_unit(const float (&values)[4], uint4* target, int small,
                                           bool exists) {
  uint4 big;
  uint32_t* b = &big.x;
#pragma unroll
  for (int e = 0; e < 4; ++e) b[e] = __float_as_uint(round_to_tf32(values[e]));
  store_shared_16_if(target, big, exists);
  if constexpr (kParts == 2) {
    uint4 rest;
    uint32_t* r = &rest.x;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      r[e] = __float_as_uint(round_to_tf32(values[e] - as_tf32(__uint_as_float(b[e]))));
    }
    store_shared_16_if(target + small, rest, exists);
  }
}

/// Stores a unit of 16-bit elements where it exists.
template <int kParts>
__device__ __forceinline__ void store_unit(const uint16_t (&values)[8], uint4* target, int,
                                           bool exists) {
  uint4 words;
  uint32_t* w = &words.x;
#pragma unroll
  for (int e = 0; e < 4; ++e) w[e] = values[2 * e] | static_cast<uint32_t>(values[2 * e + 1]) << 16;
  store_shared_16_if(target, words, exists);
}

/// One stage's window of x.
template <typename Raw>
struct Window {
  const Raw* x;      // channel 0 of the stage
  int64_t position;  // of slot 0 in the input
  int channels;      // that remain
};

/// Where the first unit of a slot goes; the others follow by unit_pitch.
struct SlotPlace {
  int first;
  bool exists;

  __device__ __forceinline__ SlotPlace(const ImplicitGemm& p, int slot)
      : first(slot), exists(static_cast<uint32_t>(slot) < static_cast<uint32_t>(p.slots)) {
    if (p.residues > 1) {
      const uint32_t row = p.by_residues.quotient(slot);
      first = (slot - row * p.residues) * p.residue_pitch + row;
    }
  }
};

/// Whether x has that position.
__device__ __forceinline__ bool inside(const ImplicitGemm& p, int64_t position) {
  return static_cast<uint64_t>(position) < static_cast<uint64_t>(p.in_length);
}

}  // namespace engine::cuda
