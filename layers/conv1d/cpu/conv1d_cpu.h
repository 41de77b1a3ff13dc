// The CPU kernels of Conv1d, as rows of its table.
#pragma once

#include "layers/conv1d/conv1d_select.h"

namespace engine::cpu {

/// Every problem: blocks of output channels in registers over panels of packed input
/// (DenseConvolution), in the best instruction set that the machine has.
Conv1dKernel conv1d_dense();
/// The same with vectors of output channels, for short signals.
Conv1dKernel conv1d_dense_channels();
/// Dense problems of several taps with fewer products: Winograd's minimal filtering
/// (WinogradConvolution).
Conv1dKernel conv1d_winograd();
/// Short reductions: one output channel at once, over the input in place (RowConvolution).
Conv1dKernel conv1d_rows();
/// Long kernels with stride 1, by Fourier transforms (FftConvolution).
Conv1dKernel conv1d_fft();
/// One output for each sample and channel: a matrix product over the batch, as Linear's.
Conv1dKernel conv1d_matrix();
/// Every problem that is not transposed, by the formula: the plain baseline.
Conv1dKernel conv1d_direct();

}  // namespace engine::cpu
