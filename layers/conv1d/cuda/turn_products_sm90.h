// The products of the Hopper GEMM of turned and arranged operands: what a warpgroup starts for each
// group of taps, and how its sums follow the scales of f32 (half_parts.h).
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/gemm_block_sm90.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/turn_memory_sm90.h"
#include "layers/conv1d/cuda/turn_stage_sm90.h"

namespace engine::cuda {

/// The inverse scale of arranged units in f32, of a sample and group.
__device__ __forceinline__ float inverse_scale_of(const TurnGemm& p, int64_t sample, int group) {
  const UnitScale& scale = p.unit_scales[sample * p.groups + group];
  return __uint_as_float(scale.scale().inverse_bits);
}

/// Where a warpgroup's operands begin, in units of shared memory: of a group of taps, or of one.
struct TurnOperands {
  uint32_t window;
  uint32_t weights;

  template <typename Tile>
  __device__ __forceinline__ TurnOperands(const TurnGemm& p, const TurnMemory<Tile>& memory,
                                          int slot, int weight_slot, int half, int column)
      : window(uniform(unit_of_block(memory.window(p, slot)) + column)),
        weights(uniform(unit_of_block(memory.weights_at(p, weight_slot)) + half * kTurnHalfRows)) {}
  __device__ __forceinline__ TurnOperands(const TurnOperands& group, TapUnits tap)
      : window(group.window + tap.window), weights(group.weights + tap.weights) {}
};

/// The sums of a warpgroup, and its products. Sums of scaled operands are as large as the last
/// window's products, whose inverse scale is theirs.
template <typename TileType>
struct TurnProducts {
  using Tile = TileType;
  static constexpr bool kFinishScales = Tile::kScales;

  const TurnGemm& p;
  const TurnMemory<Tile>& memory;
  int half = static_cast<int>(threadIdx.x) / 128 % Tile::kRowGroups;  // of a tile's rows
  int column = static_cast<int>(threadIdx.x) / 128 / Tile::kRowGroups * Tile::kColumns;
  int last = -1;  // slots that will not be needed when the products under way are done
  int last_weights = -1;
  float inverse_scale = 1.0f;  // of the sums
  float sums[Tile::kParts][Tile::kPartColumns / 2];

  __device__ __forceinline__ void release_last() {
    if (threadIdx.x % 32 == 0) {
      if (last >= 0) memory.shared->used[last].arrive();
      if (last_weights >= 0) memory.shared->weights_used[last_weights].arrive();
    }
    last = last_weights = -1;
  }
  __device__ __forceinline__ void begin_tile(const GemmTilePlace& place,
                                             const RowFinish<Tile::kScales>&) {
    if constexpr (Tile::kScales && !Tile::kTurns) {
      inverse_scale = inverse_scale_of(p, place.sample, place.group);
    }
  }
  __device__ __forceinline__ void finish() {
    wgmma_wait<0>();
    release_last();
  }
  // Starts the products of a tap.
  __device__ __forceinline__ void start_tap(const TurnOperands& group, int tap, bool first) {
    constexpr uint32_t kWeightStep = Tile::kRows << 16;
    const uint32_t window_step = p.positions << 16;
    const TurnOperands operands(group, p.tap_units[tap]);
    wgmma_fence();
#pragma unroll
    for (int unit = 0; unit < Tile::kStageUnits; unit += 2) {
      const uint64_t a = wgmma_descriptor(operands.weights + unit * Tile::kRows + kWeightStep);
#pragma unroll
      for (int i = 0; i < Tile::kParts; ++i) {
        const uint32_t x = operands.window + unit * p.positions + i * Tile::kPartColumns;
        wgmma<typename Tile::Operand, Tile::kPartColumns>(
            sums[i], a, wgmma_descriptor(x + window_step), !first || unit > 0);
      }
    }
    wgmma_commit();
  }
  // Starts the products of a group of taps once `await()` has returned; their window is in slot
  // `slot`, their weights are in slot `weight_slot`. While those of the first tap are under way,
  // what the group before had is released, a window after its last group. The sums of a tile begin
  // with the first tap.
  template <typename Await>
  __device__ __forceinline__ void multiply_group(TapGroup group, int slot, int weight_slot,
                                                 bool first, const Await& await) {
    const TurnOperands operands(p, memory, slot, weight_slot, half, column);
    int tap = uniform(group.first_tap());
    const int end = uniform(group.end_tap());
    await();
    if constexpr (Tile::kScales && Tile::kTurns) {
      follow_scale(memory.shared->inverse_scale[slot], first);
    }
    start_tap(operands, tap, first);
    wgmma_wait<1>();
    release_last();
    last = group.ends_window() ? slot : -1;
    last_weights = p.resident ? -1 : weight_slot;
#pragma unroll 1
    for (++tap; tap < end; ++tap) start_tap(operands, tap, false);
  }
  // Brings the sums to the scale of the products that follow.
  __device__ __forceinline__ void follow_scale(float inverse, bool first) {
    const float factor = inverse_scale / inverse;
    inverse_scale = inverse;
    if (first || factor == 1.0f) return;
    wgmma_wait<0>();
#pragma unroll
    for (float& sum : sums[0]) sum *= factor;
  }
};

/// The same of f32 in two parts: products of a few taps are summed by the tensor cores, which
/// truncate when they add, and their sums in f32. While one warpgroup does that, the other has
/// products.
template <typename TileType>
struct SplitProducts {
  using Tile = TileType;
  static constexpr bool kFinishScales = false;
  static constexpr float inverse_scale = 1.0f;
  static_assert(Tile::kParts == 1);

  const TurnGemm& p;
  const TurnMemory<Tile>& memory;
  int half = static_cast<int>(threadIdx.x) / 128 % Tile::kRowGroups;
  int column = static_cast<int>(threadIdx.x) / 128 / Tile::kRowGroups * Tile::kColumns;
  float sums[1][Tile::kColumns / 2];
  float part[Tile::kColumns / 2];
  float unit_scale;     // the inverse one of arranged units
  float row_scales[2];  // of the weights' rows

  __device__ __forceinline__ void begin_tile(const GemmTilePlace& place,
                                             const RowFinish<true>& finish) {
    if constexpr (!Tile::kTurns) unit_scale = inverse_scale_of(p, place.sample, place.group);
#pragma unroll
    for (int h = 0; h < 2; ++h) row_scales[h] = finish.scale[h];
  }
  __device__ __forceinline__ void finish() const {}
  // Starts the products of a tap, of parts of weights and x.
  __device__ __forceinline__ void start_parts(const TurnOperands& group, int tap, bool first) {
    constexpr uint32_t kWeightStep = Tile::kRows << 16;
    const uint32_t window_step = p.positions << 16;
    const TurnOperands operands(group, p.tap_units[tap]);
#pragma unroll
    for (int unit = 0; unit < kUnitsOfStage; unit += 2) {
      const uint64_t a = wgmma_descriptor(operands.weights + unit * Tile::kRows + kWeightStep);
      const uint64_t b = wgmma_descriptor(operands.window + unit * p.positions + window_step);
      wgmma<typename Tile::Operand, Tile::kColumns>(part, a, b, !first || unit > 0);
    }
  }
  // Sums the products of big parts of taps [tap, end).
  __device__ __forceinline__ void sum_big(const TurnOperands& operands, int tap, int end,
                                          float scale) {
#pragma unroll 1
    for (int i = tap; i < end; ++i) {
      wgmma_fence();
      start_parts(operands, i, i == tap);
      wgmma_commit();
    }
    add_part(scale);
  }
  // The same of the products with what is beside the big parts.
  __device__ __forceinline__ void sum_rest(const TurnOperands& operands, int tap, int end,
                                           float scale) {
    TurnOperands of_window = operands, of_weights = operands;
    of_window.window += kUnitsOfStage * p.positions;
    of_weights.weights += kUnitsOfStage * Tile::kRows;
#pragma unroll 1
    for (int i = tap; i < end; ++i) {
      wgmma_fence();
      start_parts(of_window, i, i == tap);
      start_parts(of_weights, i, false);
      wgmma_commit();
    }
    add_part(scale / kRestScale);
  }
  // Scaled back, as sums of scaled products might overflow.
  __device__ __forceinline__ void add_part(float scale) {
    const float scales[2] = {scale * row_scales[0], scale * row_scales[1]};
    wgmma_wait<0>();
#pragma unroll
    for (int i = 0; i < Tile::kColumns / 2; ++i) {
      sums[0][i] = fmaf(part[i], scales[i / 2 % 2], sums[0][i]);
    }
  }
  // As TurnProducts does, but for slots, which are released when these products are done.
  template <typename Await>
  __device__ __forceinline__ void multiply_group(TapGroup group, int slot, int weight_slot,
                                                 bool first, const Await& await) {
    const TurnOperands operands(p, memory, slot, weight_slot, half, column);
    if (first) {
#pragma unroll
      for (float& sum : sums[0]) sum = 0.0f;
    }
    int tap = uniform(group.first_tap());
    const int end = uniform(group.end_tap());
    await();
    const float scale = Tile::kTurns ? memory.shared->inverse_scale[slot] : unit_scale;
    sum_rest(operands, tap, end, scale);
#pragma unroll 1
    for (; tap < end; tap += kTapsAddedAtOnce) {
      sum_big(operands, tap, min(tap + kTapsAddedAtOnce, end), scale);
    }
    if (threadIdx.x % 32 == 0) {
      if (group.ends_window()) memory.shared->used[slot].arrive();
      if (!p.resident) memory.shared->weights_used[weight_slot].arrive();
    }
  }
};

/// The sums of a thread, by fours.
template <typename Products, typename Use>
__device__ __forceinline__ void for_each_four(Products& products, const Use& use) {
#pragma unroll
  for (int part = 0; part < Products::Tile::kParts; ++part) {
#pragma unroll
    for (int i = 0; i < Products::Tile::kPartColumns / 8; ++i) {
      use(part * (Products::Tile::kPartColumns / 8) + i, products.sums[part] + 4 * i);
    }
  }
}

/// Where the first block of a cluster has four sums of this thread from block `rank`: those of all
/// threads side by side.
template <typename Tile>
__device__ __forceinline__ uint32_t split_sums(const TurnMemory<Tile>& memory, int rank, int four) {
  const uint32_t first = memory.split_sums + (rank - 1) * Tile::kSumBytes;
  return first + (four * Tile::kMultipliers + threadIdx.x) * static_cast<uint32_t>(sizeof(float4));
}

/// Gives the sums of a block to the first one of its cluster.
template <typename Products>
__device__ __forceinline__ void give_sums(Products& products, int rank) {
  for_each_four(products, [&](int four, const float* sums) {
    store_of_rank(0, split_sums(products.memory, rank, four), {sums[0], sums[1], sums[2], sums[3]},
                  products.memory.shared->split_sums);
  });
}

/// Adds up what the other blocks of the cluster give.
template <typename Products>
__device__ __forceinline__ void add_sums(const TurnGemm& p, Products& products) {
  products.memory.shared->split_sums.wait(0);
#pragma unroll 1
  for (int rank = 1; rank < p.splits; ++rank) {
    for_each_four(products, [&](int four, float* sums) {
      const float4 given = load_shared_four(split_sums(products.memory, rank, four));
      sums[0] += given.x;
      sums[1] += given.y;
      sums[2] += given.z;
      sums[3] += given.w;
    });
  }
}

/// The inverse scale of a warpgroup's columns [8 lane, 8 lane + 8), which are of one sample.
template <typename Products>
__device__ __forceinline__ float scale_of_eighth(const TurnGemm& p, const GemmTilePlace& place,
                                                 const Products& products) {
  if (!p.joined) return products.inverse_scale;
  const int64_t column = place.column + products.column + threadIdx.x % 32 * 8;
  const int64_t sample = p.by_sample_elements.quotient(column * p.phases);
  return inverse_scale_of(p, min(sample, int64_t{p.samples} - 1), place.group);
}

/// Finishes a tile's sums. Those of joined samples have a scale of their own for each.
template <typename Products>
__device__ __forceinline__ void finish_tile(const TurnGemm& p, const GemmTilePlace& place,
                                            const RowFinish<Products::Tile::kScales>& finish,
                                            Products& products) {
  using Tile = typename Products::Tile;
  constexpr bool kScales = Products::kFinishScales, kOfColumns = kScales && !Tile::kTurns;
  [[maybe_unused]] float of_eighth = products.inverse_scale;
  if constexpr (kOfColumns) of_eighth = scale_of_eighth(p, place, products);
#pragma unroll
  for (int part = 0; part < Tile::kParts; ++part) {
    const auto scale_of = [&](int eighth) {
      if constexpr (!kOfColumns) return products.inverse_scale;
      return __shfl_sync(0xffffffffu, of_eighth, part * Tile::kPartColumns / 8 + eighth);
    };
    finish.template apply<kScales>(p, scale_of, products.sums[part]);
  }
}

}  // namespace engine::cuda
