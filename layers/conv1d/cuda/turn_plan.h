// How the Hopper GEMM that turns windows of x in shared memory (turn_gemm_sm90.cuh) walks a
// convolution: which windows are loaded, which taps read them, and what lies in shared memory.
//
// GEMM sizes: M = rows of a group (output channels x phases of a PhaseFold), N = columns (output
// positions q of all samples), K = input channels of a group x taps. A tile has `rows` rows and
// `columns` columns; every 64 rows are as many channels as they hold with all their phases. Tiles
// begin with each sample, or, of units, whose samples follow each other, run across them: columns
// between two samples are computed and not stored. Of units, few tiles may be split: the blocks of
// a cluster share the stages of one, and the first of them adds up their sums.
//
// A tap reads a window from `shift` positions behind its beginning on. Windows of a stage have 32
// input channels, of units perhaps 64, and are brought one after the other
// - from x (TurnSource::kRows). They begin at multiples of a unit of 16 bytes; what taps reach
//   behind their columns are units at their sides. Or
// - from units (TurnSource::kUnits) as they lie in shared memory, into which another kernel has
//   arranged x before (arrange_units.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/round_up.h"
#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/cuda/arrange_units.h"
#include "layers/conv1d/cuda/gemm_plan.h"
#include "layers/conv1d/phase_fold.h"

namespace engine::cuda {

inline constexpr int kTurnColumnBytes = 512;  // of one channel: the columns of a window of rows
inline constexpr int kTurnChannels = kUnitsOfStage * kOperandUnit;  // of a window of rows
inline constexpr int kTurnOperandBytes = 2;                         // of an element of a part
inline constexpr int kMostTurnSides = 8;
inline constexpr int kMostUnitReach = 64;  // positions of a window behind its columns
inline constexpr int kMostTurnWindows = 16;
inline constexpr int kMostTurnTaps = 32;
inline constexpr int kMostTurnRing = 8;
inline constexpr int kTurnWindowBytes = kTurnChannels * kTurnColumnBytes;
inline constexpr int kTurnSideBytes = kTurnChannels * kUnitBytes;
inline constexpr int kTurnHalfRows = 64;  // that a warpgroup multiplies
inline constexpr int kMostTurnPhases = 32;
inline constexpr int kMostTurnSplits = 8;  // blocks of a cluster
/// Tensor cores truncate when they add: of two parts, products of as many taps go to one sum.
inline constexpr int kTapsAddedAtOnce = 4;

/// Bytes of a channel's results on their way to y, of elements of `size` bytes: what a warp puts
/// there at once lies in different banks, of one phase 8 rows x 8 columns.
constexpr int turn_staged_pitch(int columns, int size, int phases) {
  return phases * columns * size + (phases == 1 ? 8 * size : kUnitBytes * std::min(phases, 4));
}

/// The row, of kTurnHalfRows, that the tensor cores have as row `place`. Of one phase, every eighth
/// after the other: eight such rows begin equally far behind a multiple of 16 bytes in y. Of more
/// phases, the rows of one thread, eight places apart, are neighbours.
constexpr int turn_row_at(int place, bool phased) {
  if (!phased) return place / 8 + place % 8 * 8;
  return place / 16 * 16 + place % 8 * 2 + place % 16 / 8;
}

/// Room for the results of kTurnHalfRows rows, whatever their phases.
constexpr int turn_half_bytes(int columns, int size) {
  return kTurnHalfRows * turn_staged_pitch(columns, size, 1);
}

/// Of a tile's sums, in f32.
constexpr int turn_sum_bytes(int rows, int columns) {
  return rows * columns * static_cast<int>(sizeof(float));
}

enum class TurnSource { kRows, kUnits };

/// What a compiled kernel is made for.
struct TurnTileSize {
  TurnSource source;
  int rows;
  int columns;
  int stage_channels = kTurnChannels;  // of rows, and of two parts, always as many
};

/// What a tap reads.
struct TurnTap {
  int tap = 0;    ///< of the fold
  int shift = 0;  ///< from its window, in positions
};

struct TurnPlan {
  TurnSource source = TurnSource::kRows;
  PhaseFold fold;
  int size = 0;     ///< bytes of an element of x and y
  int parts = 1;    ///< of an operand: of f32 two (half_parts.h)
  int columns = 0;  ///< of a tile
  int stage_channels = 0;
  // Windows of stage_channels channels, and their taps: those of window w are first_tap[w] to
  // first_tap[w + 1].
  int windows = 0;
  int64_t offset[kMostTurnWindows] = {};  ///< the position of column 0, in x or in the plane
  int plane[kMostTurnWindows] = {};       ///< of arranged units
  int first_tap[kMostTurnWindows + 1] = {};
  int taps = 0;
  TurnTap tap[kMostTurnTaps] = {};
  // Taps whose weights are loaded at once: those of group i are group_tap[i] to group_tap[i + 1].
  // Window w has groups first_group[w] to first_group[w + 1].
  int groups = 0;
  int group_tap[kMostTurnTaps + 1] = {};
  int first_group[kMostTurnWindows + 1] = {};
  int reach = 0;  ///< positions of every window behind its columns
  int stages = 0;
  UnitPlanes planes;
  // Shared memory.
  int64_t weight_bytes = 0;       ///< of a stage
  int64_t weight_slot_bytes = 0;  ///< of a group; of a stage where resident
  bool resident = false;          ///< all weights stay in shared memory
  int ring = 0;                   ///< slots for windows,
  int weight_ring = 0;            ///< for weights; all of them where they are resident
  // Tiles.
  int rows = 0;
  int half_channels = 0;  ///< output channels of kTurnHalfRows rows
  int row_tiles = 0;      ///< of a group
  int advance = 0;        ///< columns from a tile to the next: tiles overlap where rows of y begin
                          ///< anywhere, so that they can be cut at 32-byte sectors
  int64_t sample_columns = 0;  ///< of output
  int64_t column_tiles = 0;    ///< of a sample, or of all that are joined
  int64_t tiles = 0;
  int splits = 1;            ///< blocks for a tile
  double tile_cycles = 0.0;  ///< predicted
  bool valid = false;

  int unit_width() const { return kUnitBytes / size; }  ///< elements of x
  int sides() const { return reach / unit_width(); }    ///< units behind a window of rows
  int positions() const { return columns + reach; }     ///< of a window
  int phases() const { return static_cast<int>(fold.phases); }
  int tile_channels() const { return rows / kTurnHalfRows * half_channels; }
  /// Whether tiles run across samples, which begin at each planes.length.
  bool joined() const { return planes.joined > 1; }
  /// Of a block, at most.
  int block_stages() const { return ceil_divide(stages, splits); }
  /// Of each part.
  int stage_units() const { return stage_channels / kOperandUnit; }
  /// Of weights.
  int64_t tap_bytes() const { return int64_t{stage_channels} * rows * kTurnOperandBytes * parts; }
  /// Whether operands are f32 that is scaled to f16.
  bool scales() const { return size > kTurnOperandBytes; }
  /// Windows of rows are as large as x.
  int64_t window_bytes() const {
    const int bytes = source == TurnSource::kRows ? size : kTurnOperandBytes * parts;
    return int64_t{stage_channels} * bytes * positions();
  }
  /// Boxes of the copy engine begin at multiples of 1024.
  int64_t slot_bytes() const { return round_up(window_bytes(), 1024); }
  int64_t staging_bytes() const { return rows / kTurnHalfRows * turn_half_bytes(columns, size); }
  /// What the first block of a cluster gets from the others.
  int64_t split_sum_bytes() const { return int64_t{splits - 1} * turn_sum_bytes(rows, columns); }
  int64_t shared_bytes() const {
    return staging_bytes() + ring * slot_bytes() + weight_ring * weight_slot_bytes +
           split_sum_bytes();
  }
  /// Blocks of a persistent kernel, or, of tiles that are split, for each tile as many.
  int64_t blocks(const Conv1dProblem& problem, int64_t multiprocessors) const;
  /// Whether tiles may run across samples: of fewer columns than a tile, and of one part, as sums
  /// of two are scaled for a sample while they are added up.
  bool can_join(const Conv1dProblem& problem) const;
  /// Lays tiles over the samples of `problem`, which may differ in batch from the plan's: over each
  /// of them, or, with `join`, across them.
  void lay_tiles(const Conv1dProblem& problem, bool join);
  /// Whether all clusters of tiles that are split run at once.
  bool has_clusters(int64_t multiprocessors) const;
};

/// Plans a problem within `shared_bytes`, or gives a plan that is not valid. Weights stay in shared
/// memory where they fit, unless `streamed` or where tiles are split.
TurnPlan plan_turn_gemm(const Conv1dProblem& problem, const TurnTileSize& tile,
                        int64_t shared_bytes, bool streamed = false, int splits = 1);

/// Elements of the packed weights: [group][row tile][stage][tap, in the plan's order][part][unit of
/// channels][row, as the tensor cores have them][channel of the unit].
int64_t turn_weight_count(const Conv1dProblem& problem, const TurnPlan& plan);

/// Writes them, as f32. `weight(g, m, c, k)` gives one of them. Those of f32 are scaled for each
/// output channel.
void pack_turn_weights(const Conv1dProblem& problem, const TurnPlan& plan,
                       const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight,
                       float* packed);

/// What the sums of each output channel of the layer are to be multiplied by in f32: the inverse of
/// its weights' scale.
std::vector<float> turn_row_scales(
    const Conv1dProblem& problem,
    const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight);

}  // namespace engine::cuda
