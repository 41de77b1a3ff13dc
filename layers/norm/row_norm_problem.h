// LayerNorm, GroupNorm and InstanceNorm as one problem, and its CPU and GPU kernels.
#pragma once

#include <cstdint>

#include "engine/cpu/thread_pool.h"
#include "engine/layer.h"

namespace engine {

/// x and y are [rows, length]; every row gets mean 0 and variance 1 (biased, eps added), then a
/// scale and a shift out of weight and bias, which are f32 and null where the layer has none.
///   LayerNorm:  row = all but the normalised dimensions; weight and bias [length], by position.
///   GroupNorm:  row = (sample, group); every `run` elements of a row are one channel, and weight
///               and bias are [channels]. InstanceNorm has one channel per group.
struct RowNormProblem {
  int64_t rows = 0;
  int64_t length = 0;
  bool by_position = false;  ///< LayerNorm's weights; run and channels are GroupNorm's
  int64_t run = 1;           ///< elements of a channel of one sample
  int64_t channels = 1;      ///< of all groups
  double eps = 1e-5;
};

/// What a run works on.
struct RowNormBuffers {
  const void* x;
  void* y;
  const float* weight;
  const float* bias;
  void* workspace;  ///< row_norm_workspace bytes
};

/// Bytes of workspace on `device` for elements of `dtype`.
int64_t row_norm_workspace(const RowNormProblem& problem, Device device, DType dtype);

/// The CPU path, f32.
void row_norm_cpu(const RowNormProblem& problem, const RowNormBuffers& buffers,
                  ThreadPool& threads);

/// Enqueues the GPU path.
void row_norm_cuda(const RowNormProblem& problem, const RowNormBuffers& buffers, DType dtype,
                   CudaStream stream);

}  // namespace engine
