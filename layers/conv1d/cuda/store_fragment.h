// How the sums of an implicit GEMM leave the registers: through shared memory, where every warp
// arranges its rows of y, to stores of 16 bytes that fill whole sectors of memory wherever a row of
// y begins. Bias, activation and residual are applied on the way.
//
// A warp holds 16 rows of sums as mma and wgmma leave them: lane 4 g + t has, for j < kColumns / 8
// and h, e < 2, sum[4 j + 2 h + e] = row g + 8 h, column 8 j + 2 t + e. The 8 rows of one h are as
// many output channels with all their phases as fit, or 8 phases of one channel (GemmPlan).
#pragma once

#include "layers/conv1d/cuda/output_row.h"
#include "layers/conv1d/cuda/store_finished.h"

namespace engine::cuda {

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

/// The residual of element 0 of a row.
template <typename T>
__device__ __forceinline__ const T* residual_of(const ImplicitGemm& p, const char* row) {
  const auto* residual = static_cast<const char*>(p.epilogue.residual);
  return reinterpret_cast<const T*>(residual + (row - static_cast<const char*>(p.y)));
}

/// Adds the residual to the elements from `at` on of a row that are stored.
template <typename T, int kCount>
__device__ __forceinline__ void add_residual(const ImplicitGemm& p, const StagedRow& row, int at,
                                             float (&values)[kCount]) {
  const T* residual = residual_of<T>(p, row.base);
#pragma unroll
  for (int e = 0; e < kCount; ++e) {
    if (at + e >= row.low() && at + e < row.high()) values[e] += to_float(residual[at + e]);
  }
}

/// f, the residual and f2 on the elements from `at` on of a row, where f and f2 are bends.
template <typename T, int kCount>
__device__ __forceinline__ void finish_plain(const ImplicitGemm& p, const StagedRow& row, int at,
                                             float (&values)[kCount]) {
  Bend(p.epilogue.activation).apply(values);
  if (p.epilogue.residual == nullptr) return;
  add_residual<T>(p, row, at, values);
  Bend(p.epilogue.residual_activation).apply(values);
}

/// The same with any activations.
template <typename T, int kCount>
__device__ __forceinline__ void finish_vector(const ImplicitGemm& p, const StagedRow& row, int at,
                                              float (&values)[kCount]) {
  const Epilogue& epilogue = p.epilogue;
  with_activation_math(epilogue.activation.kind, [&](auto math) {
#pragma unroll
    for (int e = 0; e < kCount; ++e) values[e] = math.apply(values[e], epilogue.activation);
  });
  if (epilogue.residual == nullptr) return;
  add_residual<T>(p, row, at, values);
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
    finish_plain<T>(p, row, at, values);
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

/// Stores 8 staged rows of one phase that consist of whole vectors, where f and f2 are bends: as
/// store_rows(), but without branches, several vectors at once.
template <int kColumns, typename T, bool kResidual>
__device__ __forceinline__ void store_whole_rows(const ImplicitGemm& p, const StagedRow* rows,
                                                 const float* values) {
  constexpr int kCount = 16 / sizeof(T);
  constexpr int kRowVectors = kStagedColumns<kColumns> / kCount;
  constexpr int kAtOnce = kResidual ? 1 : 8 / kCount;
  constexpr bool kEven = 8 * kRowVectors % (32 * kAtOnce) == 0;  // else the last is stored often
  const int lane = threadIdx.x % 32;
  const Bend bend(p.epilogue.activation);
#pragma unroll 1
  for (int i = 0; i < 8 * kRowVectors; i += 32 * kAtOnce) {
    char* target[kAtOnce];
    bool stored[kAtOnce];
    float sums[kAtOnce][kCount];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int index = kEven ? i + 32 * k + lane : min(i + 32 * k + lane, 8 * kRowVectors - 1);
      const int channel = index / kRowVectors;
      const StagedRow row = rows[channel];
      const int at = row.low() + index % kRowVectors * kCount;
      target[k] = row.base + at * static_cast<int>(sizeof(T));
      stored[k] = at < row.high();
      load_sums(values + channel * (kStagedColumns<kColumns> + 8) + at, row.bias, sums[k]);
      bend.apply(sums[k]);
    }
    if constexpr (kResidual) {
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
        const T* residual = residual_of<T>(p, target[k]);
        float added[kCount];
#pragma unroll
        for (int e = 0; e < kCount; ++e) added[e] = stored[k] ? to_float(residual[e]) : 0.0f;
#pragma unroll
        for (int e = 0; e < kCount; ++e) sums[k][e] += added[e];
        Bend(p.epilogue.residual_activation).apply(sums[k]);
      }
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      T rounded[kCount];
#pragma unroll
      for (int e = 0; e < kCount; ++e) rounded[e] = from_float<T>(sums[k][e]);
      uint4 bits;
      memcpy(&bits, rounded, sizeof bits);
      if (stored[k]) store_16(target[k], bits);
    }
  }
}

/// The same for 8 of more than 8 phases of one channel: runs of 8 outputs, p.phases apart, of which
/// the row does not have the first `absent`.
template <int kColumns, typename T, bool kPlain>
__device__ __forceinline__ void store_phases(const ImplicitGemm& p, const StagedRow& row,
                                             int absent, int first_phase, const float* values) {
  const int shift = row.low() - absent;
  for (int i = threadIdx.x % 32; i < 8 * kHalfColumns<kColumns>; i += 32) {
    const int phase = first_phase + i % 8;
    const int at = i / 8 * p.phases + phase + shift;
    if (phase >= p.phases || at < row.low() || at >= row.high()) continue;
    float value[1] = {values[shift + i] + row.bias};
    if constexpr (kPlain) {
      finish_plain<T>(p, row, at, value);
    } else {
      finish_vector<T>(p, row, at, value);
    }
    reinterpret_cast<T*>(row.base)[at] = from_float<T>(value[0]);
  }
}

/// Where a warp of kStagingBytes arranges its rows.
template <int kColumns>
struct Staging {
  StagedRow* rows;  ///< 8 for each h of each half
  float* values;

  __device__ __forceinline__ explicit Staging(char* memory)
      : rows(reinterpret_cast<StagedRow*>(memory)),
        values(reinterpret_cast<float*>(rows + 16 * kHalves<kColumns>)) {}
};

/// Finishes and stores 8 staged rows: those of entry `entry` on, of one h. kPlain: f and f2 are
/// bends; other activations call functions, which would keep products of tensor cores from
/// overlapping.
template <int kColumns, typename T, bool kPlain>
__device__ __forceinline__ void store_staged(const ImplicitGemm& p, const FragmentPlace& place,
                                             int entry, bool whole,
                                             const Staging<kColumns>& staging) {
  const StagedRow* rows = staging.rows + entry;
  if (kPlain && whole && p.phases == 1) {
    if (p.epilogue.residual == nullptr) {
      store_whole_rows<kColumns, T, false>(p, rows, staging.values);
    } else {
      store_whole_rows<kColumns, T, true>(p, rows, staging.values);
    }
  } else if (p.phase_blocks == 1) {
    store_rows<T, kPlain>(p, rows, staging.values);
  } else {
    const int eight = place.row / 8 + entry / 8 % 2;
    const int absent = place.first_of_sample && entry < 16 ? p.lead : 0;
    store_phases<kColumns, T, kPlain>(p, *rows, absent, eight % p.phase_blocks * 8, staging.values);
  }
}

/// Finishes and stores a warp's 16 rows. `memory` has kStagingBytes of the warp's own.
template <int kColumns, typename T, bool kPlain>
__device__ __forceinline__ void store_fragment(const ImplicitGemm& p, const FragmentPlace& place,
                                               float (&sum)[kColumns / 2], char* memory) {
  if constexpr (kPlain && FinishedRows<kColumns, T>::kFit) {
    if (p.epilogue.residual == nullptr && p.phases == 1) {
      store_finished<kColumns, T>(p, place, sum, memory);
      return;
    }
  }
  const Staging<kColumns> staging(memory);
  int shift;
  const bool whole = describe_rows<kColumns, kHalves<kColumns>, T>(p, place, staging.rows, shift);
  const auto store = [&](int entry) {
    __syncwarp();
    store_staged<kColumns, T, kPlain>(p, place, entry, whole, staging);
    __syncwarp();
  };
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    stage_rows<kColumns, 0>(p, shift, 8 * h, h, sum, staging.values);
    store(8 * h);
    if constexpr (kHalves<kColumns> == 2) {
      stage_rows<kColumns, 1>(p, shift, 16 + 8 * h, h, sum, staging.values);
      store(16 + 8 * h);
    }
  }
}

}  // namespace engine::cuda
