// How an implicit GEMM kernel walks a convolution: tiles of rows and columns, stages of the
// reduction, and where every operand lies in shared memory.
//
// GEMM sizes: M = rows of a group (output channels x phases of a PhaseFold), N = columns (output
// positions q of all samples), K = input channels of a group x taps.
//
// Rows come in eights that one warp stores together: as many output channels with all their phases
// as fit eight rows, or, of more than eight phases, eight of one channel. Rows that are left over
// compute zeros.
//
// A unit is 16 bytes of the reduction for one column: `unit_channels` channels x `unit_taps`
// neighbouring taps. A stage holds `stage_units` units of channels for `stage_taps` units of taps:
// the weights of all of them, and one window of input that serves all taps. The window is kept as
// arrays of units by row, one array for each remainder of a tap's offset by the stride, so that
// column q of any tap is row q + const of one array, whatever stride and dilation are. Kernels that
// gather their operands keep the rows of x as they are instead.
#pragma once

#include <cstdint>
#include <functional>

#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/phase_fold.h"

namespace engine::cuda {

inline constexpr int kUnitBytes = 16;
inline constexpr int kMaxSteps = 320;     // of a stage
inline constexpr int kMaxResidues = 32;   // arrays of a window
inline constexpr int kLoadingWarps = 4;   // of a block, where warps load for others
inline constexpr int kMaxRowBuffers = 2;  // of each

/// What a compiled kernel is made for.
struct GemmTile {
  int rows = 128;
  int columns = 128;
  int staged_columns = 128;  ///< that are stored at once
  int parts = 1;             ///< 2 where operands are split into a big and a small part
  int64_t shared_bytes = 0;  ///< for stages and resident weights
  int ring = 8;              ///< stages in flight, at most; weights are not resident below 3
  bool wide_loads = true;    ///< loading threads have registers for many elements
  bool by_rows = false;      ///< windows may be loaded by way of rows
  bool gathers = false;      ///< windows are rows of x, from which operands are gathered
  int gathered_steps = 1;    ///< that are gathered at once: they divide those of a stage
  int element_bytes = 4;     ///< of x, of a kernel that gathers
  int64_t chunk_bytes = 0;   ///< of rows on their way to y, of a kernel that stores by chunks
  int chunk_rows = 0;        ///< rows of a chunk
  int most_chunks = 0;       ///< on their way at once

  /// Of a kernel that gathers: 256 rows, and half the columns.
  bool is_tall() const { return rows > 128; }
};

/// Where the two units of one instruction lie in the window: the place of the first, and in the
/// upper 16 bits the distance to the second, as a wgmma descriptor has them. Of a kernel that
/// gathers, two entries make a step: for each unit the distance in bytes of its first channel and
/// tap from the window's first.
using GemmStep = uint32_t;

struct GemmPlan {
  PhaseFold fold;
  // The reduction.
  int unit_channels = 4;
  int unit_taps = 1;
  int stage_units = 1;
  int stage_taps = 1;  ///< units of taps
  int channel_stages = 1;
  int tap_stages = 1;
  int stages() const { return channel_stages * tap_stages; }
  /// Units of a window that columns are made of, without what rows are padded by.
  int64_t window_units() const { return int64_t{stage_units} * residues * window_rows; }
  // The window of a stage, in units.
  int residues = 1;
  int residue[kMaxResidues] = {};  ///< input positions
  int window_rows = 0;
  int residue_pitch = 0;
  int unit_pitch = 0;
  // The buffers of windows that are loaded by way of rows (load_rows_sm90.h).
  bool by_rows = false;
  int row_units = 0;      ///< units along the length of each channel's piece
  int row_lead = 0;       ///< elements of its first unit before the window
  int row_turn = 0;       ///< units between units of channels
  int row_buffers = 1;    ///< of a loading warp
  int64_t row_bytes = 0;  ///< of a buffer
  // The window of a kernel that gathers: rows of x, whose first element is up to 15 bytes late.
  int row_length = 0;       ///< positions
  int row_pitch = 0;        ///< words of 4 bytes
  int words_apart = 0;      ///< its pitch modulo 32 words
  int gathering_turns = 0;  ///< of shared memory, for a word of each lane
  int steps = 0;            ///< instructions of a stage: pairs of units
  GemmStep step[kMaxSteps] = {};
  // Shared memory.
  int64_t window_bytes = 0;
  int64_t weight_bytes = 0;  ///< of a stage
  bool resident = false;     ///< all weights stay in shared memory
  int ring = 0;              ///< stages in flight
  int chunks = 0;            ///< of rows on their way to y
  int fewest_chunks = 2;
  int64_t all_chunk_bytes = 0;
  // Tiles.
  int row_channels = 8;  ///< output channels of eight rows
  int phase_blocks = 1;  ///< eights of rows of one channel
  int64_t group_rows = 0;
  int64_t columns = 0;  ///< q of a sample
  int groups = 1;
  int row_tiles = 0;  ///< of a group
  int advance = 0;    ///< columns from a tile to the next: where rows of y do not begin at 32-byte
                      ///< sectors, tiles overlap, so that every row can be cut at its sectors
  int64_t column_tiles = 0;   ///< of a sample
  double tile_cycles = 0;     ///< predicted
  double handing_cycles = 0;  ///< of them, for finished sums, of a kernel that gathers
  bool valid = false;

  /// Bytes of all buffers of rows.
  int64_t all_row_bytes() const { return by_rows ? kLoadingWarps * row_buffers * row_bytes : 0; }

  /// Bytes of shared memory that buffers, stages, resident weights and chunks take.
  int64_t shared_bytes() const {
    return ring * (window_bytes + (resident ? 0 : weight_bytes)) +
           (resident ? stages() * weight_bytes : 0) + all_row_bytes() + all_chunk_bytes;
  }
};

/// Which output a row of a group belongs to; phase is -1 for a row that is left over.
struct GemmRow {
  int64_t channel;
  int64_t phase;
};
GemmRow row_at(const Conv1dProblem& problem, const GemmPlan& plan, int64_t row);

/// Whether threads that gather hand over their sums by matrices, where y begins at a multiple of 8
/// bytes.
bool by_matrices(const Conv1dProblem& problem, const GemmPlan& plan);

/// Share of the windows whose channels do not all exist, or whose slots are no neighbouring
/// positions of a unit's own channels: their elements are loaded one by one.
double single_share(const Conv1dProblem& problem, const GemmPlan& plan);

/// What a warp takes that loads a window by way of rows, in cycles: for waiting for copies, and for
/// turning squares of all lanes, more where they meet in banks.
struct RowCosts {
  double latency;
  double squares;
  double conflicts;
};
/// Cycles from one window to the next of those that a block's loading warps bring by way of rows:
/// where a warp has two buffers, other copies are under way meanwhile.
double row_cycles(const GemmPlan& plan, const RowCosts& costs);

/// Tiles of all samples and groups.
int64_t implicit_gemm_tiles(const Conv1dProblem& problem, const GemmPlan& plan);

/// Beyond so many taps of a fold an FFT is faster; those of a split one with far taps are zeros
/// nearly all, and take seconds to plan.
inline constexpr int64_t kMostGemmTaps = 1024;

/// Plans a problem, or gives one that is not valid where the tile cannot compute it.
GemmPlan plan_gemm(const Conv1dProblem& problem, const GemmTile& tile, int64_t split);

/// Floats of the packed weights of all groups, rows and stages: [group][row
/// tile][stage][part][unit] [row of the tile][elements of a unit].
int64_t packed_weight_count(const Conv1dProblem& problem, const GemmPlan& plan);

/// Writes them, as f32. `weight(g, m, c, k)` gives one of them; in TF32 they are rounded, and with
/// two parts the second is what the first leaves.
void pack_gemm_weights(const Conv1dProblem& problem, const GemmTile& tile, const GemmPlan& plan,
                       const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight,
                       float* packed);

}  // namespace engine::cuda
