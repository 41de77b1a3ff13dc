// A tile of input on which every tap of a convolution is a shifted, contiguous row.
//
// Output q of a convolution reads input q * stride + offset[t] for tap t. Taps whose offsets leave
// the same remainder by the stride read the same inputs, shifted, so the tile keeps one run of
// consecutive such inputs for all of them: nothing is copied once per tap as im2col would, and
// every stride and dilation reads contiguously. Taps further apart than a tile get runs of their
// own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "layers/conv1d/padding_mode.h"
#include "layers/conv1d/tap_problem.h"

namespace engine::cpu {

/// The input positions that output 0 of a phase reads through taps [first, first + count).
std::vector<int64_t> positions_of(const PhaseTaps& taps, int64_t first, int64_t count);

/// How many remainders by the stride the inputs of all taps leave: runs that each channel is taken
/// apart into.
int64_t tap_remainders(const TapProblem& problem);

/// target[i] = what a channel of `length` inputs has at position + i * stride, for i < count; all
/// of these lie beyond its ends.
void pad(const float* channel, int64_t length, PaddingMode mode, int64_t position, int64_t stride,
         int64_t count, float* target);

/// Where panel `index` of several begins that share out `count` columns, `columns` each. One vector
/// takes as long as two, so that the last panel gets another from the one before.
inline int64_t panel_start(int64_t index, int64_t count, int64_t columns, int64_t vector) {
  const int64_t start = index * columns;
  if (start >= count) return count;
  return index > 0 && count - start <= vector ? start - vector : start;
}

/// How one channel of input is laid out for `columns` outputs and a list of taps.
class TapTile {
 public:
  /// How far apart the rows of two channels lie.
  enum class Rows {
    kSpread,  ///< an odd number of cache lines: the same columns of many channels fall into
              ///< different sets of a cache
    kDense,   ///< as close as they can
  };

  /// `offsets` are the input positions that output 0 reads, one for each tap.
  TapTile(const std::vector<int64_t>& offsets, int64_t stride, int64_t columns,
          Rows rows = Rows::kSpread);

  int64_t columns() const { return columns_; }
  /// Floats that one channel takes.
  int64_t row_size() const { return row_size_; }
  /// Where in a row the input of output 0 lies, for each tap.
  const std::vector<int32_t>& positions() const { return positions_; }

  /// Fills the rows of `channels` consecutive channels of `length` inputs each with what outputs
  /// [first, first + count) read. Columns beyond `count` become zero as far as a vector of up to 16
  /// floats reaches.
  void pack(const float* input, int64_t channels, int64_t length, PaddingMode mode, int64_t first,
            int64_t count, float* tile) const;
  /// The same as tiles of the fewer columns of `panel`, one behind the other, which begin as
  /// panel_start() says: `panel` has the same taps, or is this tile itself, which is packed as a
  /// whole. can_pack_panels() holds.
  void pack(const TapTile& panel, int64_t vector, const float* input, int64_t channels,
            int64_t length, PaddingMode mode, int64_t first, int64_t count, float* tiles) const;
  bool can_pack_panels() const;

 private:
  // Inputs a stride apart that taps with the same remainder read.
  struct Run {
    int64_t start;     // input position that output 0 reads first
    int64_t more;      // inputs beyond one for each output
    int64_t position;  // in the row
    size_t tap;        // the first one
  };
  // Runs [first, end) that start less than a stride apart: their inputs, which are neighbours, are
  // fetched and taken apart together.
  struct Comb {
    size_t first;
    size_t end;
    int64_t more;                 // inputs beyond one for each output that all its runs have
    std::vector<int32_t> places;  // in the row, of runs from the first on; -1 where there is none
  };
  // Which part of a run is wanted, and which of it lies in the input.
  struct Extent;

  void find_runs(const std::vector<int64_t>& offsets);
  void find_combs();
  void pack_short_rows(const float* input, int64_t channels, int64_t length, PaddingMode mode,
                       int64_t first, int64_t count, float* tile) const;
  void copy_panel(const TapTile& panel, const float* row, int64_t column, float* target) const;
  Extent extent(const Run& run, int64_t length, int64_t first, int64_t count) const;
  void find_extents(const Comb& comb, int64_t length, int64_t first, int64_t count,
                    Extent* extents) const;
  void fetch(const Comb& comb, const Extent* extents, const float* channel) const;
  void pack_comb(const Comb& comb, const Extent* extents, const float* channel, int64_t length,
                 PaddingMode mode, float* row) const;
  void pack_run(const Extent& extent, const float* channel, int64_t length, PaddingMode mode,
                float* row) const;

  int64_t stride_;
  int64_t columns_;
  int64_t row_size_ = 0;
  std::vector<Run> runs_;
  std::vector<Comb> combs_;
  std::vector<int32_t> positions_;
};

}  // namespace engine::cpu
