// Any TapProblem on the CPU as a product of packed weights and tiles of input, for dense groups.
//
// The reduction over channels and taps is cut into chunks. For each chunk a tile of input is packed
// once for all taps (TapTile), with its padding, and without strides where vectors of columns are
// loaded: it stays in the second-level cache. What needs neither is read where it is, where
// channels of that length do not drive each other out of the cache. Panels of a few vectors of its
// columns stay in the first level while all output channels pass over them (DensePanel), with
// weights packed in the order of their use. Where many products of each input pay for it, a tile is
// packed panel by panel, so that no panel takes parts of cache lines. While one tile is worked on,
// the inputs of the next are fetched (FetchAhead). Threads share out tiles, and output channels too
// where the signal is short.
//
// Consecutive phases that read the same inputs are computed at once: their weights are rows of one
// matrix, so that inputs are packed once for all of them, and few output channels fill blocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/cpu/thread_pool.h"
#include "engine/tensor.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/convolution_arrays.h"
#include "layers/conv1d/cpu/dense_panel.h"
#include "layers/conv1d/cpu/fetch_ahead.h"
#include "layers/conv1d/cpu/tap_tile.h"
#include "layers/conv1d/tap_problem.h"

namespace engine::cpu {

/// Consecutive phases with outputs that are computed at once. A phase below 0 is what is left of a
/// column after the phases from 0 on: phase r - phases() of column q is phase r of column q - 1.
struct PhaseRun {
  int64_t first;
  int64_t count;
  int64_t columns;  ///< of each
};
std::vector<PhaseRun> phase_runs(const TapProblem& problem);

/// Whether a loop that takes its columns one by one leaves them as far apart as they are in the
/// input, which costs less than to take strided rows apart; unless most of a tile would be for
/// nothing.
bool keeps_strides(const TapProblem& problem);

/// Longer rows of more than a few channels are packed.
inline constexpr int64_t kLongestInPlace = 4096;

/// A TapProblem cut into chunks and tiles. Immutable; run() may be called from many threads.
class DenseConvolution {
 public:
  /// `loop` is dense_loop() or channel_loop(); `threads` is how many will share the work.
  DenseConvolution(const TapProblem& problem, const DenseLoop& loop, int threads);

  /// How phases are joined: what the packed weights depend on beside the layer.
  std::string phases() const;

  /// Whether run() stores no parts of sums in the output, which may then be the residual's memory.
  bool writes_once() const;

  /// Weights in the order that run() reads: for each phase and group, chunks of blocks of output
  /// channels [C, taps, channels], zeros beyond M. `weight(g, m, c, k)` gives one of them.
  Tensor pack_weights(const WeightReader& weight) const;

  void run(const ConvolutionArrays& arrays, ThreadPool& threads) const;

 private:
  // A part of the reduction: consecutive taps of consecutive input channels.
  struct Chunk {
    TapTile tile;
    TapTile panel;  // which the innermost loop reads: of panel_columns, or the whole tile
    std::vector<int32_t> tile_offsets;   // of each step, in bytes
    std::vector<int32_t> input_offsets;  // of each step, in bytes, where the input is read in place
    int64_t first_tap;
    int64_t taps;
    int64_t first_channel;
    int64_t channels;
    int64_t steps_before;
    int64_t panel_columns;

    int64_t steps() const { return channels * taps; }
    bool has_panels() const { return panel.columns() < tile.columns(); }
    int64_t panel_floats() const { return channels * panel.row_size(); }
  };
  struct Phase {
    PhaseRun run;
    PhaseTaps taps;      // of the first from 0 on
    int64_t rows;        // of a group: each output channel's phases
    int64_t row_blocks;  // of them
    int64_t weights;     // offset of the phases' packed weights
    std::vector<Chunk> chunks;
  };
  // What a row of a phase's matrix is.
  struct Row {
    int64_t channel;  // of the group's outputs
    int64_t first_tap;
  };
  struct Item;
  struct Columns;

  double seconds_of_run() const;  // of one thread
  std::vector<Chunk> cut(const PhaseTaps& taps) const;
  TapTile tile_of(const PhaseTaps& taps, int64_t first, int64_t count, int64_t columns) const;
  int64_t choose_column_stride() const;
  int64_t most_channels() const;
  void choose_items(int threads);
  int64_t most_columns() const;
  bool can_read_in_place() const;
  int64_t columns_in_place(const PhaseTaps& taps, int64_t first, int64_t count) const;
  void lay_out_tiles(Phase& phase) const;
  void find_inputs(const PhaseTaps& taps, Chunk& chunk) const;
  std::vector<Row> rows_of(const Phase& phase, int64_t first) const;
  Item item_at(int64_t index, const ConvolutionArrays& arrays) const;
  int64_t first_block(const Phase& phase, int64_t split) const {
    return split * phase.row_blocks / splits_;
  }
  FetchAhead inputs_behind(const Item& item, const Item* next, const Phase& phase,
                           const Chunk& chunk) const;
  FetchAhead inputs_of(const Item& item, const Phase& phase, const Chunk& chunk,
                       int64_t portions) const;
  void run_item(const Item& item, const Item* next, float* tile) const;
  void run_chunk(const Item& item, const Phase& phase, const Chunk& chunk, const Columns& columns,
                 FetchAhead& ahead) const;

  TapProblem problem_;
  DenseLoop loop_;
  int64_t block_columns_;  // of the innermost loop's widest block
  bool by_panels_;         // tiles are packed panel by panel
  int64_t column_stride_;  // floats between the columns of a tile
  std::vector<Phase> phases_;
  int64_t weight_count_ = 0;
  int64_t columns_ = 0;    // outputs of one phase in a tile
  int64_t tiles_ = 0;      // along the length
  bool in_place_ = false;  // inputs are read where they are as far as they can be
  int64_t splits_ = 1;     // parts that the row blocks of a group's phases are shared out in
};

}  // namespace engine::cpu
