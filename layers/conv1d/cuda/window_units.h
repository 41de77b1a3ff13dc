// The units of 16 bytes that a window of input consists of (GemmPlan): how they are rounded and
// where they go in shared memory.
#pragma once

#include <cstdint>

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

/// Stores a unit of f32, rounded; with two parts, what rounding leaves goes `small` units further.
template <int kParts>
__device__ __forceinline__ void store_unit(const float (&values)[4], uint4* target, int small) {
  float4 big;
  float* b = &big.x;
#pragma unroll
  for (int e = 0; e < 4; ++e) b[e] = round_to_tf32(values[e]);
  *reinterpret_cast<float4*>(target) = big;
  if constexpr (kParts == 2) {
    float4 rest;
    float* r = &rest.x;
#pragma unroll
    for (int e = 0; e < 4; ++e) r[e] = round_to_tf32(values[e] - as_tf32(b[e]));
    *reinterpret_cast<float4*>(target + small) = rest;
  }
}

/// Stores a unit of 16-bit elements.
template <int kParts>
__device__ __forceinline__ void store_unit(const uint16_t (&values)[8], uint4* target, int) {
  uint4 words;
  uint32_t* w = &words.x;
#pragma unroll
  for (int e = 0; e < 4; ++e) w[e] = values[2 * e] | static_cast<uint32_t>(values[2 * e + 1]) << 16;
  *target = words;
}

/// One stage's window of x.
template <typename Raw>
struct Window {
  const Raw* x;      // channel 0 of the stage
  int64_t position;  // of slot 0 in the input
  int channels;      // that remain
};

/// Where the units of a slot go: the first, and the distance to the next. Slots that do not exist
/// all go to one unit behind the window, which takes no branch.
struct SlotPlace {
  int first;
  int pitch;

  __device__ __forceinline__ SlotPlace(const ImplicitGemm& p, int slot) {
    const bool exists = static_cast<uint32_t>(slot) < static_cast<uint32_t>(p.slots);
    int place = slot;
    if (p.residues > 1) {
      const uint32_t row = p.by_residues.quotient(slot);
      place = (slot - row * p.residues) * p.residue_pitch + row;
    }
    first = exists ? place : p.spare_unit;
    pitch = exists ? p.unit_pitch : 0;
  }
};

/// Whether x has that position.
__device__ __forceinline__ bool inside(const ImplicitGemm& p, int64_t position) {
  return static_cast<uint64_t>(position) < static_cast<uint64_t>(p.in_length);
}

}  // namespace engine::cuda
