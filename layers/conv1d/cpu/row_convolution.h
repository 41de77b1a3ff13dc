// Any TapProblem whose reduction is short enough on the CPU, one output channel at a time: for
// depthwise convolutions, for one or two output channels, and for a single input channel with few
// taps.
//
// Where the stride is 1 the input is read in place, at each tap's offset; what lies near an end of
// it, and strided inputs, are packed into a tile first (TapTile), with their padding and without
// their stride. The rows of a piece of the length are computed one after the other (RowPanel) while
// its input is in the first-level cache; in place, some input channels after the others. Threads
// share out batch, groups and pieces; of short signals several groups are packed at once, or of
// depthwise ones read with their padding where they are (PaddedRows).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/cpu/thread_pool.h"
#include "engine/tensor.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/convolution_arrays.h"
#include "layers/conv1d/cpu/padded_rows.h"
#include "layers/conv1d/cpu/row_panel.h"
#include "layers/conv1d/cpu/tap_tile.h"
#include "layers/conv1d/tap_problem.h"

namespace engine::cpu {

/// A TapProblem cut into pieces. Immutable; run() may be called from many threads.
class RowConvolution {
 public:
  /// So many input channels are read together where they lie: to do so by parts would gain less
  /// than it costs.
  static constexpr int64_t kMostTogether = 8;

  /// Whether the inputs of one vector of outputs fit a tile.
  static bool can_implement(const TapProblem& problem);

  /// `threads` is how many will share the work.
  RowConvolution(const TapProblem& problem, int threads);

  /// Phases that have outputs: what the packed weights depend on beside the layer.
  int64_t phases() const { return static_cast<int64_t>(phases_.size()); }

  /// Whether run() may write to the residual's memory: every output is stored once.
  bool writes_once() const;

  /// Weights in the order that run() reads: [phases, groups, M, C, taps]. `weight(g, m, c, k)`
  /// gives one of them.
  Tensor pack_weights(const WeightReader& weight) const;

  void run(const ConvolutionArrays& arrays, ThreadPool& threads) const;

 private:
  // Consecutive outputs of one phase.
  struct Piece {
    int64_t first;
    int64_t columns;
    bool in_place;
  };
  // Consecutive outputs of one phase in `pieces` pieces of `columns`, the last of which may be
  // shorter.
  struct Span {
    int64_t begin;
    int64_t end;
    bool in_place;
    int64_t columns;
    int64_t pieces;
  };
  struct Phase {
    int64_t index;
    int64_t outputs;
    PhaseTaps taps;
    int64_t weights;  // offset of the phase's packed weights
    TapTile tile;
    std::vector<int64_t> tile_offsets;   // of each step
    std::vector<int64_t> input_offsets;  // of each step, where the input is read in place
    std::array<Span, 3> spans;           // along the outputs
    bool shares_vectors = false;         // as in RowPanel, wherever the input is read

    int64_t pieces() const;
    Piece piece(int64_t i) const;
  };
  struct Item;

  void add_phase(int64_t index);
  std::array<Span, 3> cut(const Phase& phase) const;
  Span span(const Phase& phase, int64_t begin, int64_t end, bool in_place) const;
  int64_t channels_at_once() const;  // where the input is read in place
  int64_t columns_in_place(int64_t columns) const;  // of a piece
  double seconds_of_run() const;                    // of one thread
  bool reads_padded_rows() const;
  void run_padded_rows(const Item& item, const ConvolutionArrays& arrays) const;
  void run_item(const Item& item, const ConvolutionArrays& arrays, float* tile) const;
  void run_part(const Phase& phase, const Piece& piece, int64_t part,
                const ConvolutionArrays& arrays, const float* input) const;
  void run_by_channels(const Phase& phase, RowPanel panel) const;

  TapProblem problem_;
  RowLoop loop_;
  int threads_;
  std::optional<PaddedTaps> padded_taps_;  // where rows are read with their padding
  std::vector<Phase> phases_;
  int64_t pieces_ = 0;  // most of a phase
  int64_t parts_ = 1;   // samples and groups whose inputs are packed together
  int64_t weight_count_ = 0;
  bool streams_;
};

}  // namespace engine::cpu
