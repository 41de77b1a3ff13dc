// How the GEMM of shifted operands (shift_gemm_sm90.cuh) walks a convolution: which windows of x
// are loaded, which taps read them, and what lies in shared memory.
//
// GEMM sizes: M = columns (output positions of all samples), N = rows (output channels of a group),
// K = input channels of a group x taps. A tile has `rows` rows and kShiftColumns columns, a stage
// kShiftChannels input channels and all taps.
//
// A tap reads a window of x from its offset on. The copy engine brings windows whose offset is a
// multiple of kShiftWidth; taps in between read the nearest, shifted by up to kMostShift positions,
// for which a window has a unit of kShiftWidth positions on either side.
#pragma once

#include <cstdint>
#include <functional>

#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/phase_fold.h"

namespace engine::cuda {

inline constexpr int kShiftColumns = 256;
inline constexpr int kShiftChannels = 32;
inline constexpr int kShiftWidth = 8;  // elements of 16 bytes
inline constexpr int kMostShift = kShiftWidth - 1;
inline constexpr int kMostShiftTaps = 16;
inline constexpr int kMostShiftRing = 8;
inline constexpr int kShiftWindowBytes = kShiftChannels * kShiftColumns * 2;
inline constexpr int kShiftSideBytes = 2 * kShiftChannels * kShiftWidth * 2;

/// What a tap reads.
struct ShiftTap {
  int tap = 0;    ///< of the fold
  int shift = 0;  ///< from its window, in positions
};

struct ShiftPlan {
  PhaseFold fold;
  // Windows of a stage, and their taps: those of window w are first_tap[w] to first_tap[w + 1], by
  // their shifts, but that of shift 0 comes last.
  int windows = 0;
  int64_t offset[kMostShiftTaps] = {};  ///< the input position of column 0
  int first_tap[kMostShiftTaps + 1] = {};
  int taps = 0;
  ShiftTap tap[kMostShiftTaps] = {};
  bool left_sides = false;   ///< windows have a unit before them,
  bool right_sides = false;  ///< behind them
  int stages = 0;
  // Shared memory.
  int64_t weight_bytes = 0;  ///< of a stage
  bool resident = false;     ///< all weights stay in shared memory
  int ring = 0;              ///< stages that are loaded at once
  // Tiles.
  int rows = 0;
  int row_tiles = 0;  ///< of a group
  int advance = 0;    ///< columns from a tile to the next: tiles overlap where rows of y begin
                      ///< anywhere, so that they can be cut at 32-byte sectors
  int64_t column_tiles = 0;
  int64_t tiles = 0;
  double tile_cycles = 0.0;  ///< predicted
  bool valid = false;

  /// Of a stage's windows with their sides.
  int64_t window_bytes() const { return windows * int64_t{kShiftWindowBytes + kShiftSideBytes}; }
  /// Of a tile's results on their way to y.
  int64_t staging_bytes() const { return int64_t{rows} * kShiftColumns * 2; }
  int64_t shared_bytes() const {
    return staging_bytes() + ring * (window_bytes() + (resident ? 0 : weight_bytes)) +
           (resident ? stages * weight_bytes : 0);
  }
  /// Blocks of a persistent kernel.
  int64_t blocks(const Conv1dProblem& problem, int64_t multiprocessors) const;
};

/// Plans a problem for tiles of `rows` rows within `shared_bytes`, or gives a plan that is not
/// valid. Weights stay in shared memory where they fit, unless `streamed`.
ShiftPlan plan_shift_gemm(const Conv1dProblem& problem, int rows, int64_t shared_bytes,
                          bool streamed = false);

/// Elements of the packed weights: [group][row tile][stage][tap, in the plan's order][unit of eight
/// channels][row][channel of the unit].
int64_t shift_weight_count(const Conv1dProblem& problem, const ShiftPlan& plan);

/// Writes them, as f32. `weight(g, m, c, k)` gives one of them.
void pack_shift_weights(const Conv1dProblem& problem, const ShiftPlan& plan,
                        const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight,
                        float* packed);

}  // namespace engine::cuda
