// The CUDA kernels of Conv1d, as rows of its table.
#pragma once

#include "layers/conv1d/conv1d_select.h"

namespace engine::cuda {

/// Every problem, in fp32 arithmetic whatever the precision asked for (tap_convolution.cu).
Conv1dKernel conv1d_direct();

/// The input unfolded into a matrix, piece by piece, and cuBLAS (im2col.cu): the plain baseline.
/// Requires that 64 columns of the unfolded matrix fit its workspace.
Conv1dKernel conv1d_im2col_cublas();

/// One tap as a matrix product that adds the bias (conv1d_pointwise_cublas.cpp). Requires stride 1,
/// no padding, one group, a bias, at most 65,535 samples, no residual, and no activation but ReLU
/// with 16-bit storage.
Conv1dKernel conv1d_pointwise_cublas();

/// Long kernels as products of spectra (fft_convolution.cu), in fp32 arithmetic whatever the
/// precision asked for. Requires at least 48 taps (fp32: 120 products per output), a dilation of at
/// most 4, a stride of at most 64 (1 for a transposed problem) and spectra of at most 1 GiB: see
/// plan_fft().
Conv1dKernel conv1d_fft();

/// Few outputs of any reduction, by mma.sync in the precision asked for
/// (conv1d_split_reduction.cu). Requires 32-bit sizes of one sample, and at least 4 output channels
/// in each of several groups.
Conv1dKernel conv1d_split_reduction();

/// On Hopper's tensor cores (implicit_gemm_sm90.cuh). Requires runs_sm90(), kernels of at most 1024
/// taps, strides up to 1024, and in fp32 at least 16 products.
Conv1dKernel conv1d_implicit_gemm_sm90();

/// On Hopper's tensor cores with operands gathered from rows of x (gather_gemm_sm90.cuh), in TF32
/// and fp32. Requires what conv1d_implicit_gemm_sm90() does, zero padding, no residual, no
/// activation but ReLU and LeakyReLU, at most eight phases, and in fp32 at least 192 products.
Conv1dKernel conv1d_gather_gemm_sm90();

/// On Hopper's tensor cores with windows of x that are turned in shared memory
/// (turn_gemm_sm90.cuh), in TF32 and in 16 bits. Requires what conv1d_gather_gemm_sm90() does but
/// up to 32 phases, stride 1 where it is not transposed, rows of x of a multiple of 16 bytes, and
/// at most 32 taps that fit shared memory.
Conv1dKernel conv1d_turn_gemm_sm90();

/// The same with x arranged by a kernel before (arrange_units.h), for any stride, padding and rows
/// of x. Requires no residual, no activation but ReLU and LeakyReLU, at most 32 phases and 32 taps,
/// and that a sample fits a workspace of 64 MB.
Conv1dKernel conv1d_arranged_gemm_sm90();

/// By mma.sync, on Ampere and later (implicit_gemm_sm80.cuh). Requires kernels of at most 1024
/// taps, strides up to 1024, in fp32 at least 16 products, and that two stages of a tile fit 80 KB.
Conv1dKernel conv1d_implicit_gemm_sm80();

/// Whether this build has code for Hopper, and the machine's first GPU is one. Where there is no
/// GPU only the build counts, so that choices can be looked at anywhere.
bool runs_sm90();

/// One input channel a group, stride 1: a pack of outputs for each thread, for few taps
/// (depthwise_packs.cu).
Conv1dKernel conv1d_depthwise_packs();

/// One input channel a group: tiles in shared memory, for many taps, strides and short rows
/// (depthwise_tiles.cu). Requires that a block's inputs and outputs fit 96 KB.
Conv1dKernel conv1d_depthwise_tiles();

}  // namespace engine::cuda
