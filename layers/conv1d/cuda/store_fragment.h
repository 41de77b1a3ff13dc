// How the sums of an implicit GEMM leave the registers: through shared memory, where every warp
// arranges its rows of y, to stores of 16 bytes that fill whole sectors of memory wherever a row of
// y begins. Bias, activation and residual are applied on the way.
//
// A warp holds 16 rows of sums as mma and wgmma leave them: lane 4 g + t has, for j < kColumns / 8
// and h, e < 2, sum[4 j + 2 h + e] = row g + 8 h, column 8 j + 2 t + e. The 8 rows of one h are as
// many output channels with all their phases as fit, or 8 phases of one channel (GemmPlan).
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
template <int kColumns, typename T>
__device__ __forceinline__ StagedRow staged_row(const ImplicitGemm& p, const FragmentPlace& place,
                                                int channel, int half, int& shift) {
  constexpr int kSector = 32 / sizeof(T);
  if (channel >= p.group_outputs) return {static_cast<char*>(p.y), 0, 0.0f};
  const int64_t first = place.column * p.phases;
  const int64_t all_channel = place.channel + channel;
  T* start =
      static_cast<T*>(p.y) + (place.sample * p.out_channels + all_channel) * p.out_length + first;
  const int phase = static_cast<int>(reinterpret_cast<uintptr_t>(start) % 32 / sizeof(T));
  const auto next_sector = [&](int at) { return at + (-(phase + at) & (kSector - 1)); };
  int low = 0;
  int high = static_cast<int>(min(p.out_length - first, int64_t{kColumns} * p.phases));
  if (p.advance < kColumns) {
    if (!place.first_of_sample) low = next_sector(0);
    if (!place.last_of_sample) high = min(high, next_sector(p.advance * p.phases));
  }
  const int middle = kHalfColumns<kColumns> * p.phases;
  const int begin = half * middle;
  if constexpr (kHalves<kColumns> == 2) {
    const int meeting = p.phase_blocks > 1 ? middle : next_sector(middle);
    low = half == 0 ? low : max(low, meeting) - begin;
    high = half == 0 ? min(high, meeting) : max(high - begin, 0);
  }
  shift = (phase + begin) % (kSector / 2);
  return {reinterpret_cast<char*>(start + begin - shift),
          static_cast<uint32_t>((low + shift) | (high + shift) << 16),
          p.epilogue.bias != nullptr ? __ldg(p.epilogue.bias + all_channel) : 0.0f};
}

/// Puts one half of the 8 rows of one h into shared memory, channel by channel, aligned as they are
/// in y. `shift` is that of entry `lane` of the warp's table of rows, `eight` the first entry.
template <int kColumns, int kHalf>
__device__ __forceinline__ void stage_rows(const ImplicitGemm& p, int shift, int eight, int h,
                                           const float (&sum)[kColumns / 2], float* values) {
  constexpr int kFirst = kHalf * kHalfColumns<kColumns> / 8;
  constexpr int kSteps = (kHalf == 0 ? kStagedColumns<kColumns> : kHalfColumns<kColumns>) / 8;
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int phases = p.staged_phases;
  const int channel = phases == 1 ? g : g / phases;
  const int row_shift = __shfl_sync(0xffffffffu, shift, eight + channel);
  if (channel >= p.row_channels) return;
  float* target =
      values + channel * p.staged_pitch + row_shift + (g - channel * phases) + 2 * t * phases;
  if (phases == 1 && !p.odd_rows) {
#pragma unroll
    for (int j = 0; j < kSteps; ++j) {
      const int from = 4 * (kFirst + j) + 2 * h;
      *reinterpret_cast<float2*>(target + 8 * j) = {sum[from], sum[from + 1]};
    }
    return;
  }
#pragma unroll
  for (int j = 0; j < kSteps; ++j) {
    const int from = 4 * (kFirst + j) + 2 * h;
    target[8 * j * phases] = sum[from];
    target[(8 * j + 1) * phases] = sum[from + 1];
  }
}

/// Staged sums with their bias.
template <int kCount>
__device__ __forceinline__ void load_sums(const float* source, float bias,
                                          float (&values)[kCount]) {
#pragma unroll
  for (int e = 0; e < kCount; e += 4) {
    const float4 four = *reinterpret_cast<const float4*>(source + e);
    values[e] = four.x + bias;
    values[e + 1] = four.y + bias;
    values[e + 2] = four.z + bias;
    values[e + 3] = four.w + bias;
  }
}

/// ReLU, where the problem has it.
template <int kCount>
__device__ __forceinline__ void bend(const ImplicitGemm& p, float (&values)[kCount]) {
#pragma unroll
  for (int e = 0; e < kCount; ++e) {
    if (p.relu) values[e] = max_or_nan(values[e], 0.0f);
  }
}

/// f, the residual and f2 on the elements from `at` on of a row.
template <typename T, int kCount>
__device__ __forceinline__ void finish_vector(const ImplicitGemm& p, const StagedRow& row, int at,
                                              float (&values)[kCount]) {
  const Epilogue& epilogue = p.epilogue;
  with_activation_math(epilogue.activation.kind, [&](auto math) {
#pragma unroll
    for (int e = 0; e < kCount; ++e) values[e] = math.apply(values[e], epilogue.activation);
  });
  if (epilogue.residual == nullptr) return;
  const auto* residual = reinterpret_cast<const T*>(static_cast<const char*>(epilogue.residual) +
                                                    (row.base - static_cast<const char*>(p.y)));
#pragma unroll
  for (int e = 0; e < kCount; ++e) {
    if (at + e >= row.low() && at + e < row.high()) values[e] += to_float(residual[at + e]);
  }
  with_activation_math(epilogue.residual_activation.kind, [&](auto math) {
#pragma unroll
    for (int e = 0; e < kCount; ++e) {
      values[e] = math.apply(values[e], epilogue.residual_activation);
    }
  });
}

/// Stores the vector that begins at element `at` of a row.
template <typename T, bool kPlain>
__device__ __forceinline__ void store_vector(const ImplicitGemm& p, const StagedRow& row, int at,
                                             const float* source) {
  constexpr int kCount = 16 / sizeof(T);
  if (at >= row.high()) return;
  float values[kCount];
  load_sums<kCount>(source + at, row.bias, values);
  if constexpr (kPlain) {
    bend(p, values);
  } else {
    finish_vector<T>(p, row, at, values);
  }
  T stored[kCount];
#pragma unroll
  for (int e = 0; e < kCount; ++e) stored[e] = from_float<T>(values[e]);
  T* target = reinterpret_cast<T*>(row.base) + at;
  if (at >= row.low() && at + kCount <= row.high()) {
    uint4 bits;
    memcpy(&bits, stored, sizeof bits);
    store_16(target, bits);
    return;
  }
#pragma unroll
  for (int e = 0; e < kCount; ++e) {
    if (at + e >= row.low() && at + e < row.high()) target[e] = stored[e];
  }
}

/// Stores staged rows.
template <typename T, bool kPlain>
__device__ __forceinline__ void store_rows(const ImplicitGemm& p, const StagedRow* rows,
                                           const float* values) {
  constexpr int kCount = 16 / sizeof(T);
  const int lane = threadIdx.x % 32;
  const int total = p.row_channels * p.row_vectors;
#pragma unroll 1
  for (int i = lane; i < total; i += 32) {
    const int channel = p.by_row_vectors.quotient(i);
    const StagedRow row = rows[channel];
    const int vector = row.low() / kCount + i - channel * p.row_vectors;
    store_vector<T, kPlain>(p, row, vector * kCount, values + channel * p.staged_pitch);
  }
  // A row that begins between two vectors has one more.
  if (lane < p.row_channels) {
    const StagedRow row = rows[lane];
    store_vector<T, kPlain>(p, row, (row.low() / kCount + p.row_vectors) * kCount,
                            values + lane * p.staged_pitch);
  }
}

/// Stores 8 staged rows of one phase that consist of whole vectors, and to whose sums little is
/// added: as store_rows(), but without branches, several vectors at once.
template <int kColumns, typename T>
__device__ __forceinline__ void store_whole_rows(const ImplicitGemm& p, const StagedRow* rows,
                                                 const float* values) {
  constexpr int kCount = 16 / sizeof(T);
  constexpr int kRowVectors = kStagedColumns<kColumns> / kCount;
  constexpr int kAtOnce = 8 / kCount;
  constexpr bool kEven = 8 * kRowVectors % (32 * kAtOnce) == 0;  // else the last is stored often
  const int lane = threadIdx.x % 32;
  const float least = p.relu ? 0.0f : -INFINITY;
#pragma unroll 1
  for (int i = 0; i < 8 * kRowVectors; i += 32 * kAtOnce) {
    T* target[kAtOnce];
    bool stored[kAtOnce];
    float sums[kAtOnce][kCount];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int index = kEven ? i + 32 * k + lane : min(i + 32 * k + lane, 8 * kRowVectors - 1);
      const int channel = index / kRowVectors;
      const StagedRow row = rows[channel];
      const int at = row.low() + index % kRowVectors * kCount;
      target[k] = reinterpret_cast<T*>(row.base) + at;
      stored[k] = at < row.high();
      load_sums(values + channel * (kStagedColumns<kColumns> + 8) + at, row.bias, sums[k]);
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      T rounded[kCount];
#pragma unroll
      for (int e = 0; e < kCount; ++e) rounded[e] = from_float<T>(max_or_nan(sums[k][e], least));
      uint4 bits;
      memcpy(&bits, rounded, sizeof bits);
      if (stored[k]) store_16(target[k], bits);
    }
  }
}

/// The same for 8 of more than 8 phases of one channel: runs of 8 outputs, p.phases apart.
template <int kColumns, typename T, bool kPlain>
__device__ __forceinline__ void store_phases(const ImplicitGemm& p, const StagedRow& row,
                                             int first_phase, const float* values) {
  for (int i = threadIdx.x % 32; i < 8 * kHalfColumns<kColumns>; i += 32) {
    const int phase = first_phase + i % 8;
    const int at = i / 8 * p.phases + phase + row.low();
    if (phase >= p.phases || at >= row.high()) continue;
    float value[1] = {values[row.low() + i] + row.bias};
    if constexpr (kPlain) {
      bend(p, value);
    } else {
      finish_vector<T>(p, row, at, value);
    }
    reinterpret_cast<T*>(row.base)[at] = from_float<T>(value[0]);
  }
}

/// Finishes and stores a warp's 16 rows. `memory` has kStagingBytes of the warp's own. kPlain: a
/// bias and ReLU are all that may be added; the other activations call functions, which would keep
/// products of tensor cores from overlapping.
template <int kColumns, typename T, bool kPlain>
__device__ __forceinline__ void store_fragment(const ImplicitGemm& p, const FragmentPlace& place,
                                               const float (&sum)[kColumns / 2], char* memory) {
  constexpr int kCount = 16 / sizeof(T);
  const int lane = threadIdx.x % 32;
  auto* rows = reinterpret_cast<StagedRow*>(memory);  // 8 for each h of each half
  auto* values = reinterpret_cast<float*>(rows + 16 * kHalves<kColumns>);
  const int eight = place.row / 8;  // which 8 rows of the group
  bool whole = true;
  int shift = 0;
  if (lane < 16 * kHalves<kColumns>) {
    const int h = lane / 8 % 2;
    const int channel =
        p.phase_blocks > 1 ? (eight + h) / p.phase_blocks : (eight + h) * p.row_channels + lane % 8;
    const StagedRow row = staged_row<kColumns, T>(p, place, channel, lane / 16, shift);
    rows[lane] = row;
    whole = (row.low() | row.high()) % kCount == 0;
  }
  whole = __all_sync(0xffffffffu, whole) && kPlain && p.phases == 1;
  __syncwarp();
  const auto store = [&](int entry, int h) {
    __syncwarp();
    if (whole) {
      store_whole_rows<kColumns, T>(p, rows + entry, values);
    } else if (p.phase_blocks == 1) {
      store_rows<T, kPlain>(p, rows + entry, values);
    } else {
      store_phases<kColumns, T, kPlain>(p, rows[entry], (eight + h) % p.phase_blocks * 8, values);
    }
    __syncwarp();
  };
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    stage_rows<kColumns, 0>(p, shift, 8 * h, h, sum, values);
    store(8 * h, h);
    if constexpr (kHalves<kColumns> == 2) {
      stage_rows<kColumns, 1>(p, shift, 16 + 8 * h, h, sum, values);
      store(16 + 8 * h, h);
    }
  }
}

}  // namespace engine::cuda
