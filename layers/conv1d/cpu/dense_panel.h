// The innermost loop of dense CPU convolutions: all output channels over a few vectors of columns.
//
// sums[m, j] = sum over s of weights[m, s] * x[s, j], where step s is one input channel and tap,
// and x[s] lies offsets[s] behind the start of a tile. A block of output channels times a few
// vectors of columns is held in registers: each step loads the columns, broadcasts one weight for
// every channel of the block, and multiplies and adds.
#pragma once

#include <cstdint>

#include "layers/conv1d/cpu/fetch_ahead.h"
#include "layers/conv1d/cpu/panel_output.h"

namespace engine::cpu {

/// What one call computes, with m counting `rows` output channels and j `columns` of the tile.
struct DensePanel {
  const float* tile;
  bool in_place;  ///< no columns beyond those of the panel may be read; else whole vectors
  int64_t
      column_stride;  ///< floats between columns of the tile: 1 where vectors of them are loaded
  const int32_t* offsets;  ///< [steps], in bytes
  int64_t steps;
  const float* weights;  ///< [blocks of DenseLoop::rows channels, steps, channels of the block]
  int64_t rows;
  int64_t columns;
  PanelOutput output;
  FetchAhead* ahead;  ///< a portion of which each block of sums fetches
};

/// Vectors in the widest block of `rows` output channels that the registers reach for, where they
/// hold blocks of whole_rows x whole_vectors sums.
constexpr int64_t widest_block(int64_t rows, int64_t whole_rows, int64_t whole_vectors) {
  constexpr int64_t kMostVectors = 6;
  const int64_t sums = whole_rows * whole_vectors;
  if (rows * kMostVectors <= sums) return kMostVectors;
  return rows * 3 <= sums ? 3 : whole_vectors;
}

/// 256 KB, which are on a thread's stack.
inline constexpr int64_t kMostTileFloats = 65536;

/// The loop for the vector unit at hand.
struct DenseLoop {
  int64_t rows;          ///< output channels in a block
  int64_t lanes;         ///< floats of a vector
  int64_t columns;       ///< whole blocks of every width: multiples of it waste nothing
  int64_t panel_floats;  ///< of input that all output channels may pass over at once
  int64_t steps;         ///< that may be summed up at once
  int64_t tile_floats;   ///< of input that is packed at once, at most kMostTileFloats
  bool strides;          ///< takes any DensePanel::column_stride, not 1 alone
  bool masks;            ///< knows DensePanel::in_place
  void (*run)(const DensePanel& panel);
};

/// For the best instruction set that the machine has.
DenseLoop dense_loop();

}  // namespace engine::cpu
