// Rows of y as the warps of an implicit GEMM store them: where each begins and ends, and the
// activations that need no function call.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "engine/cuda/device_access.h"
#include "layers/conv1d/cuda/epilogue.h"
#include "layers/conv1d/cuda/implicit_gemm.h"

namespace engine::cuda {

/// One row of y as a warp stores it, in vectors of 16 bytes counted from `base`.
struct alignas(16) StagedRow {
  char* base;     ///< the 16-byte boundary at or before the row's part of the tile
  uint32_t ends;  ///< low | high << 16: elements [low, high) are stored; 0 for no row
  float bias;

  __device__ __forceinline__ int low() const { return ends & 0xffff; }
  __device__ __forceinline__ int high() const { return ends >> 16; }
};

/// Rows longer than 128 columns are stored in two halves, which meet at a sector of each row: the
/// first is staged with up to a sector of the second.
template <int kColumns>
inline constexpr int kHalves = kColumns > 128 ? 2 : 1;
template <int kColumns>
inline constexpr int kHalfColumns = kColumns / kHalves<kColumns>;
template <int kColumns>
inline constexpr int kStagedColumns = kHalfColumns<kColumns> + (kColumns > 128 ? 16 : 0);

/// Bytes of shared memory that a warp needs to store its rows: 8 of them, with room for the way to
/// a 32-byte boundary and back, and what is known about the halves of 16.
template <int kColumns>
inline constexpr int kStagingBytes = (8 * (kStagedColumns<kColumns> + 8) + 16) * 4 +
                                     16 * kHalves<kColumns> * sizeof(StagedRow);

/// Stores two neighbours, the first at an even element.
__device__ __forceinline__ void store_pair(float* target, float a, float b) {
  *reinterpret_cast<float2*>(target) = {a, b};
}
__device__ __forceinline__ void store_pair(__half* target, float a, float b) {
  *reinterpret_cast<__half2*>(target) = __floats2half2_rn(a, b);
}
__device__ __forceinline__ void store_pair(__nv_bfloat16* target, float a, float b) {
  *reinterpret_cast<__nv_bfloat162*>(target) = __floats2bfloat162_rn(a, b);
}

/// Two neighbours of 16 bits as a word.
template <typename T>
__device__ __forceinline__ uint32_t word_of_pair(float a, float b) {
  static_assert(sizeof(T) == 2);
  alignas(4) T pair[2];
  store_pair(pair, a, b);
  uint32_t word;
  memcpy(&word, pair, sizeof word);
  return word;
}

/// A warp's part of a tile.
struct FragmentPlace {
  int64_t sample;
  int64_t column;  ///< the first
  int channel;     ///< output channel 0 of the group
  int row;         ///< the warp's first, counted in the group
  bool first_of_sample;
  bool last_of_sample;
};

/// What is stored of one half of output channel `channel` of the group, and in `shift` how many
/// elements lie between its base and the half's column 0. Tiles meet at 32-byte sectors wherever a
/// row begins, where they overlap.
template <int kColumns, int kHalfCount, typename T>
__device__ __forceinline__ StagedRow staged_row(const ImplicitGemm& p, const FragmentPlace& place,
                                                int channel, int half, int& shift) {
  constexpr int kSector = 32 / sizeof(T);
  if (channel >= p.group_outputs) return {static_cast<char*>(p.y), 0, 0.0f};
  const int64_t first = place.column * p.phases - p.lead;
  const int64_t all_channel = place.channel + channel;
  T* start =
      static_cast<T*>(p.y) + (place.sample * p.out_channels + all_channel) * p.out_length + first;
  const int phase = static_cast<int>(reinterpret_cast<uintptr_t>(start) % 32 / sizeof(T));
  const auto next_sector = [&](int at) { return at + (-(phase + at) & (kSector - 1)); };
  int low = place.first_of_sample ? p.lead : 0;
  int high = static_cast<int>(min(p.out_length - first, int64_t{kColumns} * p.phases));
  if (p.advance < kColumns) {
    if (!place.first_of_sample) low = next_sector(0);
    if (!place.last_of_sample) high = min(high, next_sector(p.advance * p.phases));
  }
  const int middle = kColumns / kHalfCount * p.phases;
  const int begin = half * middle;
  if constexpr (kHalfCount == 2) {
    const int meeting = p.phase_blocks > 1 ? middle : next_sector(middle);
    low = half == 0 ? low : max(low, meeting) - begin;
    high = half == 0 ? min(high, meeting) : max(high - begin, 0);
  }
  shift = (phase + begin) % (kSector / 2);
  return {reinterpret_cast<char*>(start + begin - shift),
          static_cast<uint32_t>((low + shift) | (high + shift) << 16),
          p.epilogue.bias != nullptr ? __ldg(p.epilogue.bias + all_channel) : 0.0f};
}

/// Writes down what is known about a warp's 16 rows, and of entry `lane` its shift. Returns whether
/// all of them consist of whole vectors.
template <int kColumns, int kHalfCount, typename T>
__device__ __forceinline__ bool describe_rows(const ImplicitGemm& p, const FragmentPlace& place,
                                              StagedRow* rows, int& shift) {
  constexpr int kCount = 16 / sizeof(T);
  const int lane = threadIdx.x % 32;
  const int eight = place.row / 8;  // which 8 rows of the group
  bool whole = true;
  shift = 0;
  if (lane < 16 * kHalfCount) {
    const int h = lane / 8 % 2;
    const int channel =
        p.phase_blocks > 1 ? (eight + h) / p.phase_blocks : (eight + h) * p.row_channels + lane % 8;
    const StagedRow row = staged_row<kColumns, kHalfCount, T>(p, place, channel, lane / 16, shift);
    rows[lane] = row;
    whole = (row.low() | row.high()) % kCount == 0;
  }
  whole = __all_sync(0xffffffffu, whole);
  __syncwarp();
  return whole;
}

/// An activation that is linear on either side of zero: identity, ReLU, LeakyReLU.
struct Bend {
  float least;  ///< 0 for ReLU
  float slope;  ///< below zero

  __device__ __forceinline__ explicit Bend(const Activation& activation)
      : least(activation.kind == Activation::Kind::kReLU ? 0.0f : -INFINITY),
        slope(activation.kind == Activation::Kind::kLeakyReLU ? activation.parameter : 1.0f) {}

  template <int kCount>
  __device__ __forceinline__ void apply(float (&values)[kCount]) const {
#pragma unroll
    for (int e = 0; e < kCount; ++e) values[e] = max_or_nan(values[e], least);
    if (slope == 1.0f) return;
#pragma unroll
    for (int e = 0; e < kCount; ++e) values[e] = values[e] < 0.0f ? values[e] * slope : values[e];
  }
};

}  // namespace engine::cuda
