// The innermost loops of Winograd's minimal filtering on the CPU: what transforms the inputs of a
// channel, and what multiplies transformed inputs and turns the products into outputs.
//
// A column is a pair of outputs, t and t + d, where d is how far apart a tap and the next one read
// a channel. With x_i = x[t + i d], three taps w of both outputs take four products in place of
// six:
//   p = (x_1 + x_2) (w_0 + w_1 + w_2) / 2,  q = (x_2 - x_1) (w_0 - w_1 + w_2) / 2
//   y[t] = (x_0 - x_2) w_0 + p + q,         y[t + d] = (x_3 - x_1) w_2 + p - q
// and two taps three in place of four:
//   p = x_1 (w_0 + w_1),  y[t] = (x_0 - x_1) w_0 + p,  y[t + d] = (x_2 - x_1) w_1 + p
// Longer filters are groups of three taps, with two or a single one (two products) left over.
//
// A block of output channels times vectors of columns adds up two sums of each, one for y[t] and
// one for y[t + d]: both in registers, or, where there are 16 of them, one at a time, while the
// other waits in memory. The products that belong to y[t] or to y[t + d] come first, with half
// their weights: the sum and the difference of the two sums are what p and q are added to, and
// their sum and difference are the outputs. In this order sums are small for long, and round less
// than a plain sum does. Every product has a row of transformed inputs of its own; rows and weights
// lie kind by kind: products for y[t], those for y[t + d], every p, every q.
#pragma once

#include <cstdint>

#include "layers/conv1d/cpu/fetch_ahead.h"
#include "layers/conv1d/cpu/panel_output.h"

namespace engine::cpu {

/// How many products there are of each kind, in the order in which their rows and weights lie.
struct WinogradProducts {
  int64_t apart;  ///< for y[t] alone, and as many for y[t + d]
  int64_t p;
  int64_t q;  ///< no more than p

  int64_t count() const { return 2 * apart + p + q; }
  WinogradProducts times(int64_t channels) const {
    return {apart * channels, p * channels, q * channels};
  }
};

/// Where a vector of outputs finds its lanes among the columns of y[t] and of y[t + d], of which
/// outputs take pieces of d in turns.
struct WinogradWindow {
  int64_t first[2];   ///< the columns that it counts from
  int32_t lanes[16];  ///< columns behind these, those of y[t + d] plus the lanes of a vector
};

/// What one call computes, with m counting `rows` output channels.
struct WinogradPanel {
  const float* inputs;   ///< [products, WinogradLoop::columns]
  const float* weights;  ///< [blocks of WinogradLoop::rows channels, products, channels]
  WinogradProducts products;
  int64_t rows;
  int64_t columns;
  int64_t distance;               ///< d; where it is longer than a vector, at least `columns`
  int64_t vector_columns;         ///< of each vector: whole pieces of d, or all its lanes
  const WinogradWindow* windows;  ///< of the outputs, where d is no longer than a vector
  int64_t outputs;                ///< that exist from the first column's y[t] on
  PanelOutput output;             ///< counts outputs, not columns
  FetchAhead* ahead;              ///< a portion of which each block of sums fetches
};

/// Where the transformed inputs of a group of taps belong: the rows of the first panel.
struct WinogradRows {
  float* first;            ///< for y[t] alone
  float* second;           ///< for y[t + d] alone
  float* p;                ///< of two or three taps
  float* q;                ///< of three taps
  int64_t panel_floats;    ///< from one panel to the next
  int64_t panel_columns;   ///< of each but the last
  int64_t vector_columns;  ///< as in WinogradPanel
};

/// The loops for the vector unit at hand.
struct WinogradLoop {
  int64_t rows;          ///< output channels in a block
  int64_t kinds;         ///< of products that are summed at a time
  int64_t lanes;         ///< floats of a vector
  int64_t columns;       ///< of a panel
  int64_t panel_floats;  ///< that all output channels pass over at once
  int64_t tile_floats;   ///< of panels that are transformed at once, at most kMostTileFloats
  void (*run)(const WinogradPanel& panel);
  /// Takes pieces of d values of `source` to `even` and to `odd` in turns, `count` to each, a
  /// multiple of the `vector_columns` values of whole pieces that a vector holds. Reads and writes
  /// whole vectors; fetches what lies `ahead` of them.
  void (*split)(const float* source, const int32_t* order, int64_t vector_columns, int64_t count,
                int64_t ahead, float* even, float* odd);
  /// Transforms `columns` columns for a group of `taps` taps, where x_i is the row inputs[i]. Reads
  /// and writes whole vectors.
  void (*transform)(const float* const* inputs, int64_t taps, int64_t columns,
                    const WinogradRows& rows);
};

/// For the best instruction set that the machine has.
WinogradLoop winograd_loop();

}  // namespace engine::cpu
