// The CPU kernels of Conv1d, as rows of its table.
#pragma once

#include "layers/conv1d/conv1d_select.h"

namespace engine::cpu {

/// Every problem: blocks of output channels in registers over panels of packed input
/// (DenseConvolution), in the best instruction set that the machine has.
Conv1dKernel conv1d_dense();
/// Every problem: four output channels at once over tiles of input (TapConvolution).
Conv1dKernel conv1d_tiled();
/// Every problem: one output channel at once, over longer tiles. For depthwise convolutions.
Conv1dKernel conv1d_tiled_rows();
/// Every problem that is not transposed, by the formula: the plain baseline.
Conv1dKernel conv1d_direct();

}  // namespace engine::cpu
