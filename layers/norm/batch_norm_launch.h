// Batch norm with known statistics, and its launch function.
#pragma once

#include <cstdint>

#include "engine/layer.h"

namespace engine {

/// y = (x - mean[c]) * scale[c] + shift[c], where c = i / run % channels for element i of `count`:
/// `run` is the length of NCL, 1 for NC.
struct ChannelNorm {
  int64_t count;
  int64_t run;
  int64_t channels;
  const float* mean;
  const float* scale;
  const float* shift;
};

/// Enqueues the GPU path; x may equal y.
void channel_norm_cuda(const ChannelNorm& norm, const void* x, void* y, DType dtype,
                       CudaStream stream);

}  // namespace engine
