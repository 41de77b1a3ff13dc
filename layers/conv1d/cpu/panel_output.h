// Where the sums of a panel of outputs go, and what is done to them on the way.
#pragma once

#include <cstdint>

#include "engine/activation.h"

namespace engine::cpu {

/// Outputs y[m, j] of consecutive channels m and columns j:
///   y[m, j] = f(sums[m, j] + bias[m]), then f2(y + residual) where there is one.
/// A reduction cut into parts adds to what earlier parts left in y; bias belongs to the first, f
/// and the residual to the last.
struct PanelOutput {
  float* y;               ///< y[0, 0]
  int64_t row_stride;     ///< floats from y[m, j] to y[m + 1, j]
  int64_t column_stride;  ///< floats from y[m, j] to y[m, j + 1]
  const float* bias;      ///< of the rows, or null
  const float* residual;  ///< laid out as y, or null
  bool first;
  bool last;
  Activation activation;           ///< f
  Activation residual_activation;  ///< f2
};

/// Whether whole vectors of sums of consecutive columns may be stored at once (store_vectors() of
/// panel_output-inl.h); else store_values() takes them.
bool stores_vectors(const PanelOutput& output);

/// Stores sums[j] at y[row, column + j] for j < count, in any place of y and through any function.
void store_values(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
                  int64_t count);

}  // namespace engine::cpu
