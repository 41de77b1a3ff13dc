// How the Hopper GEMM that turns windows of x in shared memory (turn_gemm_sm90.cuh) walks a
// convolution: which windows are loaded, which taps read them, and what lies in shared memory.
//
// GEMM sizes: M = rows (output channels of a group), N = columns (output positions of all samples),
// K = input channels of a group x taps. A tile has `rows` rows and `columns` columns, a stage
// kTurnChannels input channels and all taps.
//
// A tap reads a window of x from `shift` positions behind its beginning on. The copy engine brings
// windows that begin at multiples of a unit of 16 bytes, and units behind them, their sides.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/round_up.h"
#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/cuda/gemm_plan.h"
#include "layers/conv1d/phase_fold.h"

namespace engine::cuda {

inline constexpr int kTurnColumnBytes = 512;  // of one channel: the columns of a tile
inline constexpr int kTurnChannels = 32;
inline constexpr int kMostTurnSides = 8;
inline constexpr int kMostTurnTaps = 16;
inline constexpr int kMostTurnRing = 8;
inline constexpr int kTurnWindowBytes = kTurnChannels * kTurnColumnBytes;
inline constexpr int kTurnSideBytes = kTurnChannels * kUnitBytes;

/// Bytes of a row of results on its way to y, of elements of `size` bytes: what a warp puts there
/// at once, 8 rows x 8 columns, lies in different banks.
constexpr int turn_staged_pitch(int size) { return kTurnColumnBytes + 8 * size; }

/// The row of a tile that the tensor cores have as row `place`: rows go by 64, and of those every
/// eighth after the other. Eight such rows begin equally far behind a multiple of 16 bytes in y.
constexpr int turn_row_at(int place) { return place / 64 * 64 + place % 64 / 8 + place % 8 * 8; }

/// What a tap reads.
struct TurnTap {
  int tap = 0;    ///< of the fold
  int shift = 0;  ///< from its window, in positions
};

struct TurnPlan {
  PhaseFold fold;
  int size = 0;     ///< bytes of an element
  int columns = 0;  ///< of a tile
  // Windows of a stage, and their taps: those of window w are first_tap[w] to first_tap[w + 1].
  int windows = 0;
  int64_t offset[kMostTurnTaps] = {};  ///< the input position of column 0
  int first_tap[kMostTurnTaps + 1] = {};
  int taps = 0;
  TurnTap tap[kMostTurnTaps] = {};
  int sides = 0;  ///< units behind each window
  int stages = 0;
  // Shared memory.
  int64_t weight_bytes = 0;  ///< of a stage
  bool resident = false;     ///< all weights stay in shared memory
  int ring = 0;              ///< stages whose windows are loaded at once,
  int weight_ring = 0;       ///< whose weights are; all of them where they are resident
  // Tiles.
  int rows = 0;
  int row_tiles = 0;  ///< of a group
  int advance = 0;    ///< columns from a tile to the next: tiles overlap where rows of y begin
                      ///< anywhere, so that they can be cut at 32-byte sectors
  int64_t column_tiles = 0;
  int64_t tiles = 0;
  double tile_cycles = 0.0;  ///< predicted
  bool valid = false;

  int unit_width() const { return kUnitBytes / size; }  ///< elements
  /// From a window to the next: boxes of the copy engine begin at multiples of 1024.
  int64_t window_stride() const {
    return kTurnWindowBytes + round_up(int64_t{sides} * kTurnSideBytes, 1024);
  }
  int64_t window_bytes() const { return windows * window_stride(); }  ///< of a stage
  int64_t staging_bytes() const { return int64_t{rows} * turn_staged_pitch(size); }
  int64_t shared_bytes() const {
    return staging_bytes() + ring * window_bytes() + weight_ring * weight_bytes;
  }
  /// Blocks of a persistent kernel.
  int64_t blocks(const Conv1dProblem& problem, int64_t multiprocessors) const;
};

/// Plans a problem for tiles of `rows` rows within `shared_bytes`, or gives a plan that is not
/// valid. Weights stay in shared memory where they fit, unless `streamed`.
TurnPlan plan_turn_gemm(const Conv1dProblem& problem, int rows, int64_t shared_bytes,
                        bool streamed = false);

/// Elements of the packed weights: [group][row tile][stage][tap, in the plan's order][unit of
/// channels][row, as the tensor cores have them][channel of the unit].
int64_t turn_weight_count(const Conv1dProblem& problem, const TurnPlan& plan);

/// Writes them, as f32. `weight(g, m, c, k)` gives one of them.
void pack_turn_weights(const Conv1dProblem& problem, const TurnPlan& plan,
                       const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight,
                       float* packed);

}  // namespace engine::cuda
