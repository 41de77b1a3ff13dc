// How the tiles of an implicit GEMM are dealt to the blocks of a persistent kernel, one to a
// multiprocessor.
//
// Rounds of tiles keep all blocks busy, but for the last one. Where that is less than half full,
// each of its tiles may be cut along the reduction into pieces, which as many blocks compute at
// once; the last of them adds up what the others leave in memory.
#pragma once

#include <cstdint>

#include "layers/conv1d/cuda/gemm_plan.h"

namespace engine::cuda {

struct GemmDeal {
  int64_t blocks = 1;
  int64_t whole_tiles = 0;  ///< the first; one block computes each
  int64_t cut_tiles = 0;    ///< the others
  int pieces = 1;           ///< of each of those
  int piece_stages = 0;     ///< of a piece, but for the last: all taps of some channels
  double cycles = 0.0;      ///< predicted, of the block that is done last

  /// f32 sums that pieces leave for the last of their tile, and counters of those that have.
  int64_t partial_sum_bytes(const GemmTile& tile) const {
    return cut_tiles * (pieces - 1) * tile.rows * tile.columns *
           static_cast<int64_t>(sizeof(float));
  }
  int64_t arrival_bytes() const { return cut_tiles * static_cast<int64_t>(sizeof(uint32_t)); }
};

/// Blocks of a persistent kernel for `tiles` tiles: one for each multiprocessor. Where a block
/// keeps the weights of one of `kept_row_tiles`, as many for each of those; 1 where it keeps none.
int64_t persistent_blocks(int64_t tiles, int64_t kept_row_tiles, int64_t multiprocessors);

/// Deals the tiles of all samples and groups to a block for each multiprocessor, or with resident
/// weights to as many for each row tile.
GemmDeal deal_tiles(const Conv1dProblem& problem, const GemmTile& tile, const GemmPlan& plan,
                    int64_t multiprocessors);

}  // namespace engine::cuda
