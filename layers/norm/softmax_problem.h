// Softmax and LogSoftmax as one problem, and its CPU and GPU kernels.
#pragma once

#include <cstdint>

#include "engine/cpu/thread_pool.h"
#include "engine/layer.h"

namespace engine {

/// x and y are [outer, size, inner]; along `size`, y = exp(x - max) / sum(exp(x - max)), or its
/// logarithm.
struct SoftmaxProblem {
  int64_t outer = 1;
  int64_t size = 1;
  int64_t inner = 1;
  bool log = false;

  int64_t columns() const { return outer * inner; }
  int64_t elements() const { return columns() * size; }
};

/// Bytes of workspace on `device` for elements of `dtype`.
int64_t softmax_workspace(const SoftmaxProblem& problem, Device device, DType dtype);

/// The CPU path, f32.
void softmax_cpu(const SoftmaxProblem& problem, const float* x, float* y, void* workspace,
                 ThreadPool& threads);

/// How the GPU cuts the columns of a softmax along a dimension that is not the last one.
struct ColumnTiles {
  int64_t width;   ///< columns of a tile: a power of two, at most 32
  int64_t tiles;   ///< that cover `inner`
  int64_t chunk;   ///< elements of a column that one block reduces
  int64_t chunks;  ///< that cover `size`
};
ColumnTiles column_tiles(const SoftmaxProblem& problem);

/// Enqueues the GPU path; x may equal y.
void softmax_cuda(const SoftmaxProblem& problem, const void* x, void* y, void* workspace,
                  DType dtype, CudaStream stream);

}  // namespace engine
