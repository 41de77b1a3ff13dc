// How the threads of the Hopper GEMM that turns windows finish a tile's sums and put them into
// shared memory, as they lie in y. Products: a warpgroup's sums, with the half of the tile's rows
// and the first column that are theirs (TurnProducts).
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/output_row.h"
#include "layers/conv1d/cuda/turn_gemm.h"
#include "layers/conv1d/cuda/turn_store_sm90.h"

namespace engine::cuda {

/// Puts two neighbours of a row into shared memory, at once where they are kTogether, which is
/// where the first is an even element.
template <typename T, bool kTogether>
__device__ __forceinline__ void stage_pair(uint32_t target, float a, float b) {
  if constexpr (sizeof(T) == 4) {
    if constexpr (kTogether) {
      store_shared_8(target, {a, b});
    } else {
      store_shared(target, a);
      store_shared(target + 4, b);
    }
  } else {
    const uint32_t word = word_of_pair<T>(a, b);
    if constexpr (kTogether) {
      store_shared(target, word);
    } else {
      store_shared_half(target, word);
      store_shared_half(target + 2, word >> 16);
    }
  }
}

/// Puts one element of a row into shared memory.
template <typename T>
__device__ __forceinline__ void stage_one(uint32_t target, float value) {
  if constexpr (sizeof(T) == 4) {
    store_shared(target, value);
  } else {
    store_shared_half(target, word_of_pair<T>(value, 0.0f));
  }
}

/// Place of the first and the second row of a lane among its warpgroup's.
__device__ __forceinline__ int fragment_row(int second) {
  return threadIdx.x / 32 % 4 * 16 + 8 * second + threadIdx.x % 32 / 4;
}

/// What a lane's first or second row is.
struct LaneRow {
  int channel;  // of its half of a tile
  int phase = 0;
  bool exists = true;

  __device__ __forceinline__ LaneRow(const TurnGemm& p, int second) {
    const int place = fragment_row(second);
    if (p.phases == 1) {
      channel = turn_row_at(place, false);
      return;
    }
    const int row = turn_row_at(place, true);
    channel = row / p.phases;
    phase = row - channel * p.phases;
    exists = channel < p.half_channels;
  }
};

/// What a lane's sums become: of each of its two rows.
template <bool kScaled>
struct RowFinish {
  float bias[2];
  float scale[2];  // where kScaled

  template <typename Products>
  __device__ __forceinline__ RowFinish(const TurnGemm& p, const GemmTilePlace& place,
                                       const Products& products) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = place.row + products.half * p.half_channels + LaneRow(p, h).channel;
      const int channel = place.group * p.group_outputs + min(row, p.group_outputs - 1);
      bias[h] = p.epilogue.bias != nullptr ? __ldg(p.epilogue.bias + channel) : 0.0f;
      if constexpr (kScaled) scale[h] = __ldg(p.row_scales + channel);
    }
  }

  /// Scales sums, of which those of eight columns `o` have the factor scale_of(o), too, adds the
  /// bias and applies the activation. Not kScaleSums: without the first.
  template <bool kScaleSums, int kCount, typename ScaleOf>
  __device__ __forceinline__ void apply(const TurnGemm& p, const ScaleOf& scale_of,
                                        float (&sums)[kCount]) const {
#pragma unroll
    for (int o = 0; o < kCount / 4; ++o) {
      [[maybe_unused]] const float of_columns = kScaleSums ? scale_of(o) : 1.0f;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float& sum = sums[4 * o + i];
        if constexpr (kScaleSums) {
          sum = fmaf(sum, scale[i / 2] * of_columns, bias[i / 2]);
        } else {
          sum += bias[i / 2];
        }
      }
    }
    if (p.epilogue.activation.kind != Activation::Kind::kIdentity) {
      Bend(p.epilogue.activation).apply(sums);
    }
  }
};

/// Puts the finished sums of a lane's first or second row into shared memory, from `target` on, by
/// pairs where kTogether.
template <bool kTogether, typename Products>
__device__ __forceinline__ void stage_row(const Products& products, int second, uint32_t target) {
  using Tile = typename Products::Tile;
  using T = typename Tile::T;
#pragma unroll
  for (int part = 0; part < Tile::kParts; ++part) {
#pragma unroll
    for (int j = 0; j < Tile::kPartColumns / 8; ++j) {
      const float* pair = products.sums[part] + 4 * j + 2 * second;
      const uint32_t at = target + sizeof(T) * (part * Tile::kPartColumns + 8 * j);
      stage_pair<T, kTogether>(at, pair[0], pair[1]);
    }
  }
}

/// Puts a warp's finished sums of one phase into rows that begin as far behind a multiple of 16
/// bytes as in y.
template <typename Products>
__device__ __forceinline__ void stage_rows(const TurnGemm& p, const GemmTilePlace& place,
                                           const Products& products, uint32_t staging) {
  using Tile = typename Products::Tile;
  using T = typename Tile::T;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int channel = products.half * p.half_channels + LaneRow(p, h).channel;
    const int skew = elements_behind(row_of<T>(p, place, place.row + channel), kUnitBytes);
    const uint32_t target = staging + fragment_row(h) * Tile::kStagedPitch +
                            sizeof(T) * (products.column + skew + threadIdx.x % 4 * 2);
    if (skew % 2 == 0) {  // the same for all lanes
      stage_row<true>(products, h, target);
    } else {
      stage_row<false>(products, h, target);
    }
  }
}

/// Puts the finished sums of a lane's two rows from `targets` on, where they exist: of several
/// phases, which follow each other for each column. kPairs: the rows are phases of one channel that
/// lie together.
template <bool kPairs, typename Products>
__device__ __forceinline__ void stage_columns(const TurnGemm& p, const Products& products,
                                              const uint32_t (&targets)[2],
                                              const bool (&exists)[2]) {
  using Tile = typename Products::Tile;
  using T = typename Tile::T;
  const int column_bytes = p.phases * static_cast<int>(sizeof(T));
#pragma unroll
  for (int part = 0; part < Tile::kParts; ++part) {
#pragma unroll
    for (int j = 0; j < Tile::kPartColumns / 4; ++j) {
      // Of the columns 8 (j / 2) + e from the lane's first on, e = j % 2.
      const float* sums = products.sums[part] + j / 2 * 4 + j % 2;
      const int at = (part * Tile::kPartColumns + j / 2 * 8 + j % 2) * column_bytes;
      if constexpr (kPairs) {
        if (exists[0]) stage_pair<T, true>(targets[0] + at, sums[0], sums[2]);
      } else {
        if (exists[0]) stage_one<T>(targets[0] + at, sums[0]);
        if (exists[1]) stage_one<T>(targets[1] + at, sums[2]);
      }
    }
  }
}

/// The same of a warp's sums of several phases.
template <typename Products>
__device__ __forceinline__ void stage_phases(const TurnGemm& p, const GemmTilePlace& place,
                                             const Products& products, uint32_t staging) {
  using Tile = typename Products::Tile;
  using T = typename Tile::T;
  uint32_t targets[2];
  bool exists[2];
  bool together = p.phases % 2 == 0;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const LaneRow row(p, h);
    const T* y = row_of<T>(p, place, place.row + products.half * p.half_channels + row.channel);
    const int skew = elements_behind(y, kUnitBytes);
    const int column = products.column + threadIdx.x % 4 * 2;
    targets[h] =
        staging + row.channel * p.staged_pitch + sizeof(T) * (skew + column * p.phases + row.phase);
    exists[h] = row.exists;
    together = together && skew % 2 == 0;
  }
  if (__all_sync(0xffffffffu, together)) {
    stage_columns<true>(p, products, targets, exists);
  } else {
    stage_columns<false>(p, products, targets, exists);
  }
}

/// Hands a tile's sums to the storing warps.
template <typename Products>
__device__ __forceinline__ void stage_tile(const TurnGemm& p, const GemmTilePlace& place,
                                           const Products& products, uint32_t staging) {
  if (p.phases == 1) {
    stage_rows(p, place, products, staging);
  } else {
    stage_phases(p, place, products, staging);
  }
}

}  // namespace engine::cuda
