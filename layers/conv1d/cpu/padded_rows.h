// Short rows of a depthwise convolution with their zero padding, read where they are: loads with
// masks leave out what lies beside a row's input. To copy them between zeros first takes as long as
// to compute them.
//
//   y[m, j] = f(sum over s of weights[m, s] * x[m, j + offsets[s]]), x 0 beside its row
//
// Bound by loads, of which nearly all cross two lines of the cache, and by the second-level cache.
#pragma once

#include <cstdint>

#include "layers/conv1d/cpu/panel_output.h"

namespace engine::cpu {

inline constexpr int64_t kMostPaddedSteps = 64;
inline constexpr int64_t kMostPaddedOffset = 16;

struct PaddedRows {
  const float* input;  ///< of row 0; the rows follow each other
  int64_t in_length;
  const int64_t* offsets;  ///< [steps], from -kMostPaddedOffset to kMostPaddedOffset
  int64_t steps;           ///< at most kMostPaddedSteps
  const float* weights;    ///< [rows, steps]
  int64_t rows;
  int64_t columns;  ///< at most in_length
  PanelOutput output;
};

/// Computes every row.
using PaddedRowLoop = void (*)(const PaddedRows& rows);

/// For the best instruction set that the machine has; null where its loads have no masks.
PaddedRowLoop padded_row_loop();

}  // namespace engine::cpu
