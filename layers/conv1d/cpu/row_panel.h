// The innermost loop of CPU convolutions that sum few products: one output channel at a time, over
// a row of the output.
//
// sum[j] = sum over s of weights[s] * x[s, j], where step s is one input channel and tap, and x[s]
// lies offsets[s] behind `input`. As many vectors of columns as the registers hold are summed up
// together: each step broadcasts one weight, and every product takes its own load of the input,
// which is what limits it. Measured on one core with AVX2 at 3.2 GHz: 57 GFLOP/s of 102 for sums
// of 31 taps in the first-level cache, 75 where all loads are aligned. With AVX-512 taps that lie
// close together share loads.
#pragma once

#include <cstdint>

#include "layers/conv1d/cpu/panel_output.h"

namespace engine::cpu {

/// Where the vectors begin that a tap at `offset` shares with its neighbours: at a multiple of
/// their floats from where the lowest tap reads.
inline constexpr int64_t kSharedFloats = 16;
inline int64_t shared_start(int64_t offset, int64_t lowest) {
  return lowest + (offset - lowest) / kSharedFloats * kSharedFloats;
}

struct RowPanel {
  const float* input;
  const int64_t* offsets;  ///< [steps], in floats
  int64_t steps;
  const float* weights;  ///< [rows, weight_stride], of which the first `steps` are read
  int64_t weight_stride;
  int64_t rows;
  int64_t columns;
  int64_t readable;  ///< x[s, j] may be read for j < readable, which is at least columns
  PanelOutput output;
  bool shares_vectors;  ///< the first or last offset is the lowest, and taps share vectors by twos
  bool streams;         ///< y is written past the caches: it is too large to be found there later
};

/// The loop for the vector unit at hand.
struct RowLoop {
  int64_t lanes;                       ///< floats of the widest vector
  void (*run)(const RowPanel& panel);  ///< every row of a panel
};

/// For the best instruction set that the machine has.
RowLoop row_loop();

}  // namespace engine::cpu
