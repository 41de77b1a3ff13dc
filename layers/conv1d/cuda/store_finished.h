// How sums of an implicit GEMM leave the registers where nothing is left to be done to them once
// they have their bias and activation, which they get where they are: in y's type, arranged in
// shared memory as they lie in y, and stored by 16 bytes, whole sectors wherever a row of y begins.
//
// For tiles of one phase, activations that are bends, no residual, and rows of at most 512 bytes.
// store_fragment.h has the rest, and says how lanes hold sums.
#pragma once

#include "layers/conv1d/cuda/output_row.h"

namespace engine::cuda {

/// How a warp arranges its 16 rows: all of them at once where they fit, or eight after eight.
template <int kColumns, typename T>
struct FinishedRows {
  static constexpr int kVector = 16 / sizeof(T);
  static constexpr int kRowVectors = kColumns / kVector;
  static constexpr int kPitch = kColumns + 8;  // rows begin in different banks
  static constexpr int kAtOnce = kPitch * sizeof(T) < 512 ? 16 : 8;
  static constexpr int kSteps =
      kAtOnce * kRowVectors / 32;  // of a warp that stores a vector a lane
  static constexpr int kBytes = 16 * sizeof(StagedRow) + kAtOnce * kPitch * sizeof(T);
  static constexpr bool kFit = kRowVectors <= 32 && kBytes <= kStagingBytes<kColumns>;
};

/// Adds the bias to a warp's sums, and applies the activation.
template <int kCount>
__device__ __forceinline__ void finish_sums(const ImplicitGemm& p, const FragmentPlace& place,
                                            float (&sum)[kCount]) {
  if (p.epilogue.bias != nullptr) {
    const int channel = place.row + threadIdx.x % 32 / 4;
    float bias[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      bias[h] = __ldg(p.epilogue.bias + place.channel + min(channel + 8 * h, p.group_outputs - 1));
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) sum[i] += bias[i / 2 % 2];
  }
  if (p.epilogue.activation.kind != Activation::Kind::kIdentity) {
    Bend(p.epilogue.activation).apply(sum);
  }
}

/// Arranges the rows of one h. `shift` is that of row `lane`.
template <int kColumns, typename T>
__device__ __forceinline__ void arrange_rows(const ImplicitGemm& p, int shift, int h,
                                             const float (&sum)[kColumns / 2], T* values) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  T* target = values + g * FinishedRows<kColumns, T>::kPitch +
              __shfl_sync(0xffffffffu, shift, 8 * h + g) + 2 * t;
  if (p.odd_rows) {
#pragma unroll
    for (int j = 0; j < kColumns / 8; ++j) {
      target[8 * j] = from_float<T>(sum[4 * j + 2 * h]);
      target[8 * j + 1] = from_float<T>(sum[4 * j + 2 * h + 1]);
    }
    return;
  }
#pragma unroll
  for (int j = 0; j < kColumns / 8; ++j) {
    store_pair(target + 8 * j, sum[4 * j + 2 * h], sum[4 * j + 2 * h + 1]);
  }
}

/// Stores what a row has of the vector at `at`.
template <typename T>
__device__ __forceinline__ void copy_vector(const StagedRow& row, int at, const T* source) {
  constexpr int kVector = 16 / sizeof(T);
  T* target = reinterpret_cast<T*>(row.base) + at;
  if (at >= row.low() && at + kVector <= row.high()) {
    store_16(target, *reinterpret_cast<const uint4*>(source + at));
    return;
  }
#pragma unroll
  for (int e = 0; e < kVector; ++e) {
    if (at + e >= row.low() && at + e < row.high()) target[e] = source[at + e];
  }
}

/// Stores arranged rows.
template <int kColumns, typename T>
__device__ __forceinline__ void copy_rows(const StagedRow* rows, const T* values) {
  using Rows = FinishedRows<kColumns, T>;
  const int lane = threadIdx.x % 32;
#pragma unroll 1
  for (int i = lane; i < Rows::kAtOnce * Rows::kRowVectors; i += 32) {
    const int r = i / Rows::kRowVectors;
    const StagedRow row = rows[r];
    const int vector = row.low() / Rows::kVector + i % Rows::kRowVectors;
    copy_vector(row, vector * Rows::kVector, values + r * Rows::kPitch);
  }
  // A row that begins between two vectors has one more.
  if (lane < Rows::kAtOnce) {
    const StagedRow row = rows[lane];
    const int vector = row.low() / Rows::kVector + Rows::kRowVectors;
    copy_vector(row, vector * Rows::kVector, values + lane * Rows::kPitch);
  }
}

/// Stores arranged rows that consist of whole vectors, two vectors of a lane at once: its other
/// registers may hold sums.
template <int kColumns, typename T>
__device__ __forceinline__ void copy_whole_rows(const StagedRow* rows, const T* values) {
  using Rows = FinishedRows<kColumns, T>;
  const int first = threadIdx.x % 32 / Rows::kRowVectors;
  const int offset = threadIdx.x % Rows::kRowVectors * Rows::kVector;
#pragma unroll 2
  for (int step = 0; step < Rows::kSteps; ++step) {
    const int r = first + step * (32 / Rows::kRowVectors);
    const StagedRow row = rows[r];
    const int at = row.low() + offset;
    const uint4 bits = *reinterpret_cast<const uint4*>(values + r * Rows::kPitch + at);
    if (at < row.high()) store_16(reinterpret_cast<T*>(row.base) + at, bits);
  }
}

/// Finishes and stores a warp's 16 rows. `memory` has FinishedRows::kBytes of the warp's own.
template <int kColumns, typename T>
__device__ __forceinline__ void store_finished(const ImplicitGemm& p, const FragmentPlace& place,
                                               float (&sum)[kColumns / 2], char* memory) {
  using Rows = FinishedRows<kColumns, T>;
  auto* rows = reinterpret_cast<StagedRow*>(memory);
  T* values = reinterpret_cast<T*>(rows + 16);
  int shift;
  const bool whole = describe_rows<kColumns, 1, T>(p, place, rows, shift);
  finish_sums(p, place, sum);
#pragma unroll
  for (int r = 0; r < 16; r += Rows::kAtOnce) {
#pragma unroll
    for (int h = r / 8; h < (r + Rows::kAtOnce) / 8; ++h) {
      arrange_rows<kColumns>(p, shift, h, sum, values + (8 * h - r) * Rows::kPitch);
    }
    __syncwarp();
    if (whole) {
      copy_whole_rows<kColumns>(rows + r, values);
    } else {
      copy_rows<kColumns>(rows + r, values);
    }
    __syncwarp();
  }
}

}  // namespace engine::cuda
