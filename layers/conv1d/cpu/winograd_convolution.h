// Winograd's minimal filtering of dense convolutions on the CPU, for a TapProblem with one phase.
//
// The reduction is cut into chunks of input channels. For each chunk the inputs of a tile of
// columns are transformed (winograd_panel.h), channel by channel, into panels that stay in the
// second-level cache; a panel stays in the first level while output channels pass over it. No
// transformed input is kept beyond that. Where d is no longer than a vector, columns follow each
// other, whole pieces of d in each panel, and a channel's inputs are taken apart into such pieces
// in turns; else panels end where a piece does, and every x_i is a row of the input as it is, or
// with its padding. While one tile is worked on, the inputs of the next are fetched. Threads share
// out tiles, and output channels too where the signal is short.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/cpu/thread_pool.h"
#include "engine/tensor.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/convolution_arrays.h"
#include "layers/conv1d/cpu/winograd_panel.h"
#include "layers/conv1d/tap_problem.h"

namespace engine::cpu {

/// The taps of a convolution in groups of up to three that read a channel at equal distances.
///
/// Taps whose offsets leave the same remainder by the stride read the same inputs of a channel,
/// every stride-th one of them: among themselves they are a convolution without stride.
struct WinogradTaps {
  struct Group {
    int64_t first_tap;  // of its remainder's
    int64_t taps;
    WinogradProducts before;  // of the channel
  };
  struct Remainder {
    int64_t first_tap;
    int64_t offset;  // input position that output 0 reads first
    int64_t taps;
    std::vector<Group> groups;
  };

  explicit WinogradTaps(const TapRule& rule);

  /// Whether more groups have two taps than three. Their sums round more than plain ones of as many
  /// products, those of three taps less.
  bool has_more_twos() const { return products.p - products.q > products.q; }

  /// In how many chunks `channels` input channels are added up: at least two where sums would round
  /// more than plain ones.
  int64_t chunks(int64_t channels, const WinogradLoop& loop) const;

  int64_t distance;  ///< d, in outputs
  int64_t step;      ///< between taps of a remainder
  std::vector<Remainder> remainders;
  WinogradProducts products{};  ///< of one channel
};

/// How the columns of a row are cut into panels.
struct WinogradColumns {
  WinogradColumns(int64_t outputs, int64_t distance, const WinogradLoop& loop);

  struct Panel {
    int64_t first;  // column
    int64_t columns;
    int64_t output;  // y[t] of the first column
  };
  Panel panel(int64_t index) const;

  int64_t distance;
  int64_t vector_columns;  ///< as in WinogradPanel
  int64_t count;
  int64_t panel_columns;  ///< of each but the last of a span
  int64_t span;           ///< columns of as many panels as cover whole pieces of d outputs
  int64_t span_panels;
  int64_t panels;
};

/// A TapProblem cut into chunks and tiles. Immutable; run() may be called from many threads.
class WinogradConvolution {
 public:
  static bool can_implement(const TapProblem& problem);

  /// `threads` is how many will share the work.
  WinogradConvolution(const TapProblem& problem, int threads);

  /// Whether run() stores no parts of sums in the output, which may then be the residual's memory.
  bool writes_once() const { return chunks_.size() == 1; }

  /// Transformed weights in the order that run() reads: for each group and chunk, blocks of output
  /// channels. `weight(g, m, c, k)` gives a tap.
  Tensor pack_weights(const WeightReader& weight) const;

  void run(const ConvolutionArrays& arrays, ThreadPool& threads) const;

 private:
  // A part of the reduction: consecutive input channels.
  struct Chunk {
    int64_t first_channel;
    int64_t channels;
    WinogradProducts products;
  };
  struct Item;

  bool interleaves() const { return taps_.distance <= loop_.lanes; }
  double seconds_of_run() const;
  void cut();
  void choose_items(int threads);
  Item item_at(int64_t index, const ConvolutionArrays& arrays) const;
  FetchAhead inputs_of(const Item& item, const Chunk& chunk, int64_t portions) const;
  void run_item(const Item& item, const Item* next, float* tile) const;
  void transform(const Item& item, const Chunk& chunk, float* tile) const;
  void transform_pieces(const Item& item, const Chunk& chunk, int64_t channel,
                        const WinogradTaps::Remainder& remainder, float* tile) const;
  void transform_rows(const Item& item, const Chunk& chunk, int64_t channel,
                      const WinogradTaps::Remainder& remainder, float* tile) const;
  void transform_groups(const Chunk& chunk, int64_t channel,
                        const WinogradTaps::Remainder& remainder, const float* const* inputs,
                        int64_t columns, float* panel) const;
  const float* inputs_at(const float* channel, const WinogradTaps::Remainder& remainder,
                         int64_t output, int64_t count, float* copy) const;
  void run_chunk(const Item& item, const Chunk& chunk, const float* tile, FetchAhead& ahead) const;

  TapProblem problem_;
  WinogradLoop loop_;
  WinogradTaps taps_;
  WinogradColumns columns_;
  std::vector<int32_t> order_;           // of inputs, and
  std::vector<WinogradWindow> windows_;  // of outputs, where vectors hold pieces
  int64_t row_blocks_;                   // of a group's output channels
  int64_t weight_count_;
  std::vector<Chunk> chunks_;
  int64_t tile_panels_ = 1;
  int64_t tiles_ = 1;   // along the length
  int64_t splits_ = 1;  // parts that the row blocks of a group are shared out in
};

}  // namespace engine::cpu
