// What a compiled tile of the Hopper GEMM of turned and arranged operands is, and where a block has
// everything in shared memory.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/turn_gemm.h"
#include "layers/conv1d/cuda/turn_split_sm90.h"
#include "layers/conv1d/cuda/window_units.h"

namespace engine::cuda {

template <typename Element, int kOperandPartCount, TurnSource kFrom, int kRowCount,
          int kColumnCount, int kStageChannels = kTurnChannels>
struct TurnTile {
  using T = Element;
  static constexpr bool kScales = sizeof(T) == 4;  // to f16, which is what is multiplied,
  using Operand = std::conditional_t<kScales, __half, T>;
  static constexpr int kOperandParts = kOperandPartCount;  // of an element
  static constexpr int kRows = kRowCount;
  static constexpr int kTileColumns = kColumnCount;
  static constexpr bool kTurns = kFrom == TurnSource::kRows;  // else units are arranged
  static_assert(!kTurns || kTileColumns * sizeof(T) == kTurnColumnBytes);
  static constexpr int kStageUnits = kStageChannels / kOperandUnit;  // of each part
  static_assert(kStageUnits == kUnitsOfStage || (!kTurns && kOperandParts == 1));
  static constexpr int kMultipliers = 256;
  // A warpgroup has 64 rows of a tile, of all columns or half of them, in parts of which each is
  // computed by products of its own.
  static constexpr int kRowGroups = kRows / kTurnHalfRows;
  static constexpr int kColumns = kTileColumns * kRowGroups / 2;
  static constexpr int kPartColumns = kColumns % 128 == 0 ? 128 : kColumns;
  static constexpr int kParts = kColumns / kPartColumns;
  static constexpr int kSumBytes = turn_sum_bytes(kRows, kTileColumns);
  // Results of one phase in shared memory, of a row and of half a tile's.
  static constexpr int kStagedPitch = turn_staged_pitch(kTileColumns, sizeof(T), 1);
  static constexpr int kHalfBytes = turn_half_bytes(kTileColumns, sizeof(T));
  // A copy takes a warp some 100 cycles to start. Of windows of units it is one for each unit of
  // channels.
  static constexpr int kCopyingWarps = kTurns ? 1 : kUnitsOfStage;
  static constexpr int kTurningWarps = !kTurns ? 0 : kScales ? kUnitsOfStage : 3;
  static constexpr int kStoringWarps = kTurns && kOperandParts == 2 ? 3 : 4;
  static constexpr int kOtherWarps = (kCopyingWarps + kTurningWarps + kStoringWarps + 3) / 4 * 4;
  static constexpr int kThreads = kMultipliers + 32 * kOtherWarps;
  // Of a thread: what it begins with, and what the others leave to those that multiply.
  static constexpr int kRegisters = 65536 / kThreads / 8 * 8;
  static constexpr int kMultiplierRegisters = kOtherWarps > 8 ? 120 : kTurns ? 168 : 192;
  static constexpr int kOtherRegisters = kOtherWarps > 8 ? 80 : kTurns ? 88 : 64;
  static_assert(kMultipliers * kMultiplierRegisters + (kThreads - kMultipliers) * kOtherRegisters <=
                kThreads * kRegisters);
};

/// What the warps of a block tell each other.
struct TurnShared {
  Barrier loaded[kMostTurnRing];  // a window
  Barrier turned[kMostTurnRing];
  Barrier used[kMostTurnRing];            // it is not needed any more
  Barrier weights_loaded[kMostTurnRing];  // the first for all where they are resident
  Barrier weights_used[kMostTurnRing];
  Barrier staged[2];  // a half tile's results
  Barrier stored[2];
  Barrier split_sums;                    // of the other blocks of a cluster
  float inverse_scale[kMostTurnRing];    // of windows that are scaled
  uint32_t magnitude[2][kUnitsOfStage];  // of what the turning warps have, for windows in turns
};
inline constexpr int kTurnSharedBytes = 512;
static_assert(sizeof(TurnShared) <= kTurnSharedBytes);

/// Bytes of the weights of a tap of a stage.
template <typename Tile>
inline constexpr int kTapBytes = Tile::kStageUnits* Tile::kOperandParts* Tile::kRows* kUnitBytes;

/// Whether the blocks of a cluster share the stages of a tile.
template <typename Tile>
__device__ __forceinline__ bool is_split(const TurnGemm& p) {
  return !Tile::kTurns && p.splits > 1;
}

/// What a block computes: whole tiles, or, where they are split, its rank's share of the stages of
/// the one tile that its cluster has.
template <typename Tile>
struct TurnShare {
  int rank = 0;
  int64_t first_tile = blockIdx.x;
  int64_t tile_step = gridDim.x;
  int first_stage = 0;
  int end_stage;

  __device__ __forceinline__ explicit TurnShare(const TurnGemm& p) : end_stage(p.stages) {
    if (!is_split<Tile>(p)) return;
    rank = cluster_rank();
    first_tile = blockIdx.x / p.splits;
    tile_step = gridDim.x / p.splits;
    first_stage = p.stages * rank / p.splits;
    end_stage = p.stages * (rank + 1) / p.splits;
  }
};

/// Where everything lies in shared memory. Windows begin at multiples of 1024.
template <typename Tile>
struct TurnMemory {
  uint32_t staging;
  uint32_t windows;
  char* weights;
  uint32_t split_sums;
  TurnShared* shared;

  __device__ __forceinline__ TurnMemory(const TurnGemm& p, int staging_bytes, char* memory) {
    staging = shared_address(memory);
    windows = staging + staging_bytes;
    weights = memory + staging_bytes + p.ring * p.slot_bytes;
    char* behind = weights + p.weight_ring * p.weight_slot_bytes;
    split_sums = shared_address(behind);
    shared = reinterpret_cast<TurnShared*>(behind + (p.splits - 1) * Tile::kSumBytes);
  }
  __device__ __forceinline__ uint32_t window(const TurnGemm& p, int slot) const {
    return windows + slot * p.slot_bytes;
  }
  __device__ __forceinline__ uint32_t weights_at(const TurnGemm& p, int slot) const {
    return shared_address(weights) + slot * p.weight_slot_bytes;
  }
};

template <typename Tile>
__device__ __forceinline__ void init_barriers(const TurnGemm& p, TurnShared& shared) {
  constexpr int kWarps = Tile::kMultipliers / 32;
  for (int i = 0; i < kMostTurnRing; ++i) {
    shared.loaded[i].init(Tile::kCopyingWarps);
    if (Tile::kTurns) shared.turned[i].init(Tile::kTurningWarps);
    shared.used[i].init(kWarps);
    shared.weights_loaded[i].init(p.resident ? 1 : Tile::kCopyingWarps);
    shared.weights_used[i].init(kWarps);
  }
  for (int half = 0; half < 2; ++half) {
    shared.staged[half].init(Tile::kMultipliers / Tile::kRowGroups);
    shared.stored[half].init(32 * Tile::kStoringWarps);
  }
  if (is_split<Tile>(p)) {
    shared.split_sums.init(1);
    shared.split_sums.arrive_and_expect((p.splits - 1) * Tile::kSumBytes);
  }
  fence_barrier_init();
}

}  // namespace engine::cuda
