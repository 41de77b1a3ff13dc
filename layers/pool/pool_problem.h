// Pooling as one problem, and its CPU and GPU kernels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/cpu/thread_pool.h"
#include "engine/cuda/host_device.h"
#include "engine/layer.h"
#include "layers/reduce/reduce_plan.h"

namespace engine {

/// x is [rows, length], y is [rows, outputs]; y[r, o] is the maximum or the mean of a window of
/// row r. Windows have `kernel_size` taps that lie `dilation` apart, move on by `stride`, and begin
/// `padding` before the row; adaptive ones span [floor(o * length / outputs),
/// ceil((o + 1) * length / outputs)).
struct PoolProblem {
  int64_t rows = 1;
  int64_t length = 1;
  int64_t outputs = 1;
  bool average = false;
  bool adaptive = false;
  int64_t kernel_size = 1;
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t dilation = 1;           ///< 1 for averages
  bool count_include_pad = true;  ///< averages only: padding counts as zeros

  int64_t windows() const { return rows * outputs; }

  /// Where window o starts, in the padding or in the row.
  ENGINE_HOST_DEVICE int64_t start(int64_t o) const {
    return adaptive ? scaled(o, 0) : o * stride - padding;
  }
  /// The first tap of window o that is in the row.
  ENGINE_HOST_DEVICE int64_t begin(int64_t o) const {
    const int64_t first = start(o);
    return first >= 0 ? first : first + (-first + dilation - 1) / dilation * dilation;
  }
  /// One past the last place in the row that a tap of window o may take.
  ENGINE_HOST_DEVICE int64_t end(int64_t o) const {
    if (adaptive) return scaled(o + 1, outputs - 1);
    const int64_t last = start(o) + (kernel_size - 1) * dilation + 1;
    return last < length ? last : length;
  }
  /// What the sum over window o is divided by.
  ENGINE_HOST_DEVICE float divisor(int64_t o) const {
    if (adaptive || !count_include_pad) return static_cast<float>(end(o) - begin(o));
    const int64_t left = length + padding - start(o);
    return static_cast<float>(kernel_size < left ? kernel_size : left);
  }

  /// Most taps that a window has in the row.
  int64_t longest_window() const {
    const int64_t taps = adaptive ? length / outputs + 2 : kernel_size;
    return std::min(taps, length);
  }
  /// Whether windows are long enough for several threads each, and contiguous.
  bool has_long_windows() const { return dilation == 1 && longest_window() >= 64; }

 private:
  // (o * length + round_up) / outputs, without a product that could overflow.
  ENGINE_HOST_DEVICE int64_t scaled(int64_t o, int64_t round_up) const {
    return o * (length / outputs) + (o * (length % outputs) + round_up) / outputs;
  }
};

/// Bytes of workspace on `device`.
int64_t pool_workspace(const PoolProblem& problem, Device device);

/// The CPU path, f32.
void pool_cpu(const PoolProblem& problem, const float* x, float* y, void* workspace,
              ThreadPool& threads);

/// Enqueues the GPU path.
void pool_cuda(const PoolProblem& problem, const void* x, void* y, void* workspace, DType dtype,
               CudaStream stream);

}  // namespace engine
