// Unfolding of NCL input into the columns that a matrix product turns into a convolution.
#pragma once

#include <cstdint>

#include "engine/layer.h"
#include "layers/conv1d/conv1d_problem.h"

namespace engine::cuda {

/// Outputs [first_column, first_column + columns) of samples [first_sample, first_sample +
/// samples).
struct Conv1dPiece {
  int64_t first_sample;
  int64_t samples;
  int64_t first_column;
  int64_t columns;
};

/// Enqueues target[b, c, k, j] = x[first_sample + b, c, (first_column + j) stride - left +
/// k dilation], padding included, rows `target_stride` elements apart, all of the problem's dtype.
void im2col(const Conv1dProblem& problem, const Conv1dPiece& piece, int64_t target_stride,
            const void* input, void* target, CudaStream stream);

}  // namespace engine::cuda
