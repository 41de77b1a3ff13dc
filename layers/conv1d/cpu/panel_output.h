// Where the sums of a panel of outputs go, and what is done to them on the way.
#pragma once

#include <cstdint>

#include "engine/activation.h"

namespace engine::cpu {

/// Outputs y[m, j] of consecutive channels m and columns j:
///   y[m, j] = f(sums[m, j] + bias[m]), then f2(y + residual) where there is one.
/// A reduction cut into parts adds to what earlier parts left in y; bias belongs to the first, f
/// and the residual to the last. Where a channel has several phases that are computed at once, each
/// of them is a row: rows of a channel lie beside each other. What these have before the beginning
/// of a channel of y or behind its end does not exist.
struct PanelOutput {
  float* y;               ///< y[0, 0], or phase 0 of the first row's channel
  int64_t row_stride;     ///< floats from one channel to the next
  int64_t column_stride;  ///< floats from y[m, j] to y[m, j + 1]
  const float* bias;      ///< of the channels, or null
  const float* residual;  ///< laid out as y, or null
  bool first;
  bool last;
  Activation activation;           ///< f
  Activation residual_activation;  ///< f2
  int64_t phases = 1;              ///< rows of a channel
  int64_t first_phase = 0;         ///< of the first row
  int64_t position = 0;            ///< of phase 0 in its channel

  int64_t channel(int64_t row) const { return phases == 1 ? row : (first_phase + row) / phases; }
  int64_t phase(int64_t row) const { return phases == 1 ? 0 : (first_phase + row) % phases; }
  /// Floats from y to y[row, 0].
  int64_t place(int64_t row) const { return channel(row) * row_stride + phase(row); }
};

/// Whether whole vectors of sums of consecutive columns may be stored at once (store_vectors() of
/// panel_output-inl.h).
bool stores_vectors(const PanelOutput& output);

/// Whether f, and f2 where there is a residual, have a form for vectors.
bool has_vector_forms(const PanelOutput& output);

/// Whether sums of several phases may be finished as vectors, and stored by quads of rows
/// (finish_quads() there).
inline bool stores_quads(const PanelOutput& output) {
  return output.phases > 1 && has_vector_forms(output);
}

/// Stores sums[j] at y[row, column + j] for j < count, in any place of y and through any function.
void store_values(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
                  int64_t count);

}  // namespace engine::cpu
