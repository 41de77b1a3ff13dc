// Short rows of a depthwise convolution with their zero padding, read where they are: loads with
// masks leave out what lies beside a row's input. To copy them between zeros first takes as long as
// to compute them.
//
//   y[m, j] = f(sum over s of weights[m, s] * x[m, j + offsets[s]]), x 0 beside its row
//
// Taps that lie close together read the same vectors, each through its own shift. Bound by products
// and by the permutations that shift, and by the second-level cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "layers/conv1d/cpu/panel_output.h"

namespace engine::cpu {

/// The taps of such a convolution in the order of their offsets, in groups that read the same
/// vectors.
struct PaddedTaps {
  static constexpr int64_t kMostOffset = 16;  ///< on both sides of an output
  static constexpr int64_t kGroup = 16;       ///< offsets that a group spans

  struct Tap {
    int64_t offset;
    int64_t step;  ///< its weight's
  };

  /// At least one, each within kMostOffset.
  explicit PaddedTaps(const std::vector<int64_t>& offsets);

  std::vector<Tap> taps;
  int64_t lowest;                  ///< offset; groups start there, and every kGroup from there on
  std::vector<size_t> group_ends;  ///< behind the last tap of each; a group may have none
};

struct PaddedRows {
  const float* input;  ///< of row 0; the rows follow each other
  int64_t in_length;
  const PaddedTaps& taps;
  const float* weights;  ///< [rows, taps]
  int64_t rows;
  int64_t columns;  ///< at most in_length
  PanelOutput output;
  bool fetches;  ///< asks for as many rows behind them, which are far away and short for the
                 ///< machine to foresee
};

/// Computes every row.
using PaddedRowLoop = void (*)(const PaddedRows& rows);

/// For the best instruction set that the machine has; null where its loads have no masks.
PaddedRowLoop padded_row_loop();

}  // namespace engine::cpu
