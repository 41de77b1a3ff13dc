// The innermost loop of dense CPU convolutions over short and strided signals: vectors of output
// channels.
//
// The sums of DensePanel, with a vector along the output channels in place of the columns: each
// step loads a few vectors of weights, broadcasts the input of up to six columns, or twelve where
// there are 32 registers, and multiplies and adds. No lane is lost where there are fewer columns
// than a vector has, and columns may lie apart, so that strided inputs are read as they are.
// Weights are read once for that many columns, which is what limits it where they come from beyond
// the second-level cache.
#pragma once

#include "layers/conv1d/cpu/dense_panel.h"

namespace engine::cpu {

/// For the best instruction set that the machine has.
DenseLoop channel_loop();

}  // namespace engine::cpu
