// The innermost loop of the CPU convolutions: a few output channels times a few vectors of columns.
#pragma once

#include <cstdint>

namespace engine::cpu {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

/// One vector register of floats (a GCC and Clang extension that compiles to any SIMD).
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));
/// The same in memory, at any address of a float.
using LanesInMemory =
    float __attribute__((vector_size(kLanes * sizeof(float)), aligned(alignof(float)), may_alias));

/// A packed tile and its weights: the product to compute is
///   sums[r, j] = sum over c, t of weights[c, t, r] * tile[c * row_size + positions[t] + j]
struct TileProduct {
  const float* tile;
  int64_t row_size;
  const float* weights;         ///< [channels, taps, rows], rows contiguous
  int64_t weights_per_channel;  ///< floats from one channel's weights to the next's
  const int32_t* positions;
  int64_t taps;
  int64_t channels;
};

/// Computes kRows x (kVectors * kLanes) sums, row-major with `sums_stride` floats a row. All sums
/// stay in registers: kRows * kVectors of them, which is what limits both.
template <int kRows, int kVectors>
void multiply_tile(const TileProduct& product, float* sums, int64_t sums_stride) {
  Lanes total[kRows][kVectors] = {};
  const float* row = product.tile;
  const float* channel_weights = product.weights;
  for (int64_t c = 0; c < product.channels; ++c) {
    const float* weights = channel_weights;
    for (int64_t t = 0; t < product.taps; ++t) {
      const auto* source = reinterpret_cast<const LanesInMemory*>(row + product.positions[t]);
      Lanes columns[kVectors];
      for (int v = 0; v < kVectors; ++v) columns[v] = source[v];
      for (int r = 0; r < kRows; ++r) {
        for (int v = 0; v < kVectors; ++v) total[r][v] += weights[r] * columns[v];
      }
      weights += kRows;
    }
    row += product.row_size;
    channel_weights += product.weights_per_channel;
  }
  for (int r = 0; r < kRows; ++r) {
    auto* target = reinterpret_cast<LanesInMemory*>(sums + r * sums_stride);
    for (int v = 0; v < kVectors; ++v) target[v] = total[r][v];
  }
}

}  // namespace engine::cpu
