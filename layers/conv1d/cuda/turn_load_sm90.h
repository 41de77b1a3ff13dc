// How windows and weights come to shared memory for the Hopper GEMM of turned and arranged
// operands: the copying warps start all copies, each its share.
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/ring_position.h"
#include "layers/conv1d/cuda/turn_memory_sm90.h"
#include "layers/conv1d/cuda/turn_window_sm90.h"

namespace engine::cuda {

/// Starts the copies of a window whose column 0 is input position `position`, and of its sides: two
/// copies where it lies within rows of x, since a copy takes a warp some 100 cycles to start. One
/// warp. kWidth: elements of a unit.
template <int kWidth>
__device__ __forceinline__ void start_window(const TurnGemm& p, int position, int channel,
                                             int matrix, uint32_t window, Barrier& loaded) {
  constexpr int kBoxWidth = kSwizzledUnits * kWidth;
  if (threadIdx.x % 32 == 0) loaded.arrive_and_expect(p.window_bytes);
  __syncwarp();
  const int side_position = position + kTurnBoxes * kBoxWidth;
  if (position >= 0 && side_position + p.side_count * kWidth <= p.in_length) {
    tensor_copy(window, p.all_boxes, position, channel, matrix, loaded);
    if (p.side_count == 0) return;
    tensor_copy(window + kTurnWindowBytes, p.all_sides, side_position, channel, matrix, loaded);
    return;
  }
#pragma unroll
  for (int box = 0; box < kTurnBoxes; ++box) {
    tensor_copy(window + box * kTurnBoxBytes, p.boxes, position + box * kBoxWidth, channel, matrix,
                loaded);
  }
#pragma unroll 1
  for (int side = 0; side < p.side_count; ++side) {
    tensor_copy(window + kTurnWindowBytes + side * kTurnSideBytes, p.side,
                side_position + side * kWidth, channel, matrix, loaded);
  }
}

/// Units that each copying warp brings of a window.
template <typename Tile>
inline constexpr int kCopiedUnits = Tile::kStageUnits* Tile::kOperandParts / Tile::kCopyingWarps;

/// What warp `warp` copies of units, of column 0 of a tile, in the first plane of its group.
template <typename Tile>
__device__ __forceinline__ const char* tile_units(const TurnGemm& p, const GemmTilePlace& place,
                                                  int warp) {
  return p.units + place.sample * p.sample_unit_bytes + place.group * p.group_unit_bytes +
         warp * kCopiedUnits<Tile> * p.unit_pitch + place.column * kUnitBytes;
}

/// Starts a warp's copies of the units of a window: those of all positions lie side by side.
template <typename Tile>
__device__ __forceinline__ void start_units(const TurnGemm& p, const char* source, uint32_t window,
                                            Barrier& loaded, int warp) {
  constexpr int kShare = kCopiedUnits<Tile>;
  const int bytes = p.positions * kUnitBytes;
  if (threadIdx.x % 32 == 0) {
    loaded.arrive_and_expect(kShare * bytes);
#pragma unroll
    for (int i = 0; i < kShare; ++i, source += p.unit_pitch) {
      bulk_copy(window + (warp * kShare + i) * bytes, source, bytes, loaded);
    }
  }
  __syncwarp();
}

/// Starts warp `warp`'s copies of window `w` of a stage to slot `slot`. `units`: tile_units().
template <typename Tile>
__device__ __forceinline__ void start_slot(const TurnGemm& p, const TurnMemory<Tile>& memory,
                                           const GemmTilePlace& place, const char* units, int stage,
                                           int w, int slot, int warp) {
  Barrier& loaded = memory.shared->loaded[slot];
  if constexpr (Tile::kTurns) {
    const auto matrix = static_cast<int>(place.sample * p.groups + place.group);
    const auto position = static_cast<int>(place.column) + p.offset[w];
    start_window<kUnitElements<typename Tile::T>>(p, position, stage * kTurnChannels, matrix,
                                                  memory.window(p, slot), loaded);
  } else {
    const char* source = units + p.window_units[w] + stage * p.stage_unit_bytes;
    start_units<Tile>(p, source, memory.window(p, slot), loaded, warp);
  }
}

/// Starts warp `warp`'s copy of the weights of a group of taps.
template <typename Tile>
__device__ __forceinline__ void start_weights(const TurnGemm& p, const TurnMemory<Tile>& memory,
                                              const GemmTilePlace& place, int stage, TapGroup group,
                                              int slot, int warp) {
  if (threadIdx.x % 32 == 0) {
    const int taps = group.end_tap() - group.first_tap();
    const int share = taps * kTapBytes<Tile> / Tile::kCopyingWarps;
    const int64_t first = (int64_t{place.weight_block} * p.stages + stage) * p.weight_bytes +
                          group.first_tap() * kTapBytes<Tile> + warp * share;
    Barrier& loaded = memory.shared->weights_loaded[slot];
    loaded.arrive_and_expect(share);
    bulk_copy(memory.weights_at(p, slot) + warp * share,
              static_cast<const char*>(p.weights) + first, share, loaded);
  }
  __syncwarp();
}

/// The copying warps: bring the windows of all stages, and their weights where they are not
/// resident.
template <typename Tile>
__device__ void copy_stages(const TurnGemm& p, const TurnMemory<Tile>& memory, int warp) {
  TurnShared& shared = *memory.shared;
  RingPosition at, weights_at;
  TapGroup next = p.tap_group[0];
  const TurnShare<Tile> share(p);
  if constexpr (!Tile::kTurns) await_previous_kernel();  // which arranges units
  for (int64_t tile = share.first_tile; tile < p.tiles; tile += share.tile_step) {
    const GemmTilePlace place = place_of(p, tile, p.tile_channels);
    const char* units = Tile::kTurns ? nullptr : tile_units<Tile>(p, place, warp);
    for (int stage = share.first_stage; stage < share.end_stage; ++stage) {
      for (int g = 0; g < p.tap_group_count; ++g) {
        const TapGroup group = next;
        next = p.tap_group[g + 1];
        if (group.begins_window()) {
          shared.used[at.slot].wait(at.parity ^ 1);
          start_slot(p, memory, place, units, stage, group.window(), at.slot, warp);
          at.advance(p.ring);
        }
        if (p.resident) continue;
        shared.weights_used[weights_at.slot].wait(weights_at.parity ^ 1);
        start_weights(p, memory, place, stage, group, weights_at.slot, warp);
        weights_at.advance(p.weight_ring);
      }
    }
  }
}

}  // namespace engine::cuda
