// The innermost loop of dense CPU convolutions: all output channels over a few vectors of columns.
//
// sums[m, j] = sum over s of weights[m, s] * x[s, j], where step s is one input channel and tap,
// and x[s] lies offsets[s] behind the start of a tile. A block of output channels times a few
// vectors of columns is held in registers: each step loads the columns, broadcasts one weight for
// every channel of the block, and multiplies and adds.
#pragma once

#include <cstdint>

#include "engine/activation.h"

namespace engine::cpu {

/// What one call computes, with m counting `rows` output channels and j `columns` of the tile:
///   y[m, j] = f(sums[m, j] + bias[m]), then f2(y + residual) where there is one.
/// A reduction cut into chunks adds to what earlier calls left in y; bias belongs to the first, f
/// and the residual to the last.
struct DensePanel {
  const float* tile;       ///< whole vectors of columns may be read
  const int32_t* offsets;  ///< [steps], in bytes
  int64_t steps;
  const float* weights;  ///< [blocks of DenseLoop::rows channels, steps, channels of the block]
  int64_t rows;
  int64_t columns;
  float* output;          ///< y[0, 0]
  int64_t row_stride;     ///< floats from y[m, j] to y[m + 1, j]
  int64_t column_stride;  ///< floats from y[m, j] to y[m, j + 1]
  const float* bias;      ///< of the rows, or null
  const float* residual;  ///< laid out as y, or null
  bool first;
  bool last;
  Activation activation;
  Activation residual_activation;
};

/// The loop for the vector unit at hand.
struct DenseLoop {
  int64_t rows;     ///< output channels in a block
  int64_t lanes;    ///< floats of a vector
  int64_t columns;  ///< whole blocks of every width: multiples of it waste nothing
  void (*run)(const DensePanel& panel);
};

/// For the best instruction set that the machine has.
DenseLoop dense_loop();

}  // namespace engine::cpu
