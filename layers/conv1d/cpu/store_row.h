// Stores finished sums of a whole row of y.
#pragma once

#include <cstdint>

#include "layers/conv1d/cpu/panel_output.h"

namespace engine::cpu {

/// As store_values(), by vectors where stores_vectors(): for sums of many columns, in which a
/// transform ends.
void store_row(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
               int64_t count);

}  // namespace engine::cpu
