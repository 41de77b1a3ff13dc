// Any TapProblem on the CPU, through tiles of input that stay in the first-level cache.
//
// Each tile is packed once for all taps (TapTile) and multiplied with all output channels of its
// group; sums stay in registers over as many inputs as the tile holds. Threads share out tiles, and
// output channels too where the signal is short.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/cpu/thread_pool.h"
#include "engine/tensor.h"
#include "layers/conv1d/cpu/tap_tile.h"
#include "layers/conv1d/tap_problem.h"

namespace engine::cpu {

/// Output channels that the innermost loop computes at once.
enum class RowBlock {
  kOne,   ///< 1 channel, many columns: depthwise, or groups of very few outputs
  kFour,  ///< 4 channels, 3 vectors of columns: everything else
};

/// A TapProblem cut into tiles. Immutable; run() may be called from many threads.
class TapConvolution {
 public:
  /// `threads` is how many will share the work.
  TapConvolution(const TapProblem& problem, RowBlock rows, int threads);

  /// Phases that have outputs: what the packed weights depend on beside the layer.
  int64_t phases() const { return static_cast<int64_t>(phases_.size()); }

  /// Weights in the order that run() reads: for each phase and group, blocks of output channels
  /// [C, taps, rows], zeros beyond M. `weight(g, m, c, k)` gives one of them.
  Tensor pack_weights(const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight) const;

  /// `weights` as pack_weights() made them; `bias` has groups * M values or is null; `residual` is
  /// shaped as the output, or null.
  void run(const float* input, const float* weights, const float* bias, const float* residual,
           float* output, ThreadPool& threads) const;

 private:
  // Consecutive taps whose inputs, for `channels` channels at least, fit the tile.
  struct TapBlock {
    TapTile tile;
    int64_t first = 0;
    int64_t taps = 0;
    int64_t channels = 0;
  };
  struct Phase {
    int64_t index;
    int64_t outputs;
    PhaseTaps taps;
    int64_t weights;  // offset of the phase's packed weights
    std::vector<TapBlock> blocks;
  };
  struct Item;
  struct Pass;

  int64_t choose_columns(int threads) const;
  std::vector<TapBlock> cut_taps(const PhaseTaps& taps) const;
  void run_item(const Item& item) const;
  void run_block(const Item& item, const Phase& phase, const TapBlock& block, float* tile) const;
  void finish(const Item& item, const Phase& phase, const Pass& pass, const float* sums) const;

  TapProblem problem_;
  RowBlock rows_;
  int64_t columns_;     // outputs of one phase in a tile
  int64_t tiles_;       // along the length
  int64_t row_blocks_;  // blocks of output channels in a group
  int64_t splits_;      // parts that a group's row blocks are shared out in
  std::vector<Phase> phases_;
  int64_t weight_count_ = 0;
};

}  // namespace engine::cpu
