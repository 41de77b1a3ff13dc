// Depthwise convolution on the GPU: every output channel reads one input channel.
#pragma once

#include <cstdint>

#include "engine/layer.h"
#include "layers/conv1d/conv1d_problem.h"

namespace engine::cuda {

/// What the depthwise kernels compute on. Weights are f32.
struct DepthwiseTensors {
  const void* input = nullptr;
  const float* weight = nullptr;   ///< as the plan's kernel wants it
  const float* bias = nullptr;     ///< out_channels values, or null
  const void* residual = nullptr;  ///< shaped and stored as the output, or null
  void* output = nullptr;
};

/// Weights of one channel in the packs kernel's order: kernel_size taps, then zeros.
inline int64_t depthwise_packs_pitch(const Conv1dProblem& p) { return (p.kernel_size + 3) / 4 * 4; }

/// Enqueues depthwise_packs.cu; weight is [out_channels, depthwise_packs_pitch()].
void depthwise_packs(const Conv1dProblem& problem, const DepthwiseTensors& tensors,
                     CudaStream stream);

/// How depthwise_tiles.cu cuts a problem.
///
/// Outputs `spacing` apart read inputs `step` = lcm(stride, dilation) apart, and so do every
/// `classes`-th taps: such outputs slide over the same inputs. A group is `spacing` * `per_thread`
/// neighbouring outputs, one thread for each `spacing`-th of them.
struct DepthwiseTiles {
  int per_thread = 0;        ///< outputs of a thread: 15 or 7
  int64_t spacing = 1;       ///< D / gcd(S, D)
  int64_t classes = 1;       ///< S / gcd(S, D)
  int64_t step = 1;          ///< lcm(S, D)
  int64_t row_groups = 0;    ///< groups of an output row
  int64_t block_groups = 0;  ///< of a block
  int64_t row_packs = 0;     ///< staged packs of input for a whole row
  int64_t class_taps = 0;    ///< taps of a class, rounded up to 4
  int64_t input_floats = 0;  ///< shared memory for input, output and taps
  int64_t output_floats = 0;
  int64_t tap_pitch = 0;  ///< of a channel in shared memory; an odd multiple of 4
  int64_t tap_rows = 0;   ///< rows that a block may touch

  int64_t shared_bytes() const { return 4 * (input_floats + output_floats + tap_pitch * tap_rows); }
  int64_t blocks(const Conv1dProblem& p) const {
    return (p.batch * p.out_channels * row_groups - 1) / block_groups + 1;
  }
  /// Outputs computed for one that is kept.
  double waste(const Conv1dProblem& p) const {
    return static_cast<double>(row_groups * spacing * per_thread) /
           static_cast<double>(p.out_length);
  }
};

inline constexpr int kDepthwiseTileThreads = 128;

/// The cut with `per_thread` outputs for each thread; block_groups is 0 where a group has more
/// outputs than a block has threads for.
DepthwiseTiles cut_depthwise_tiles(const Conv1dProblem& problem, int per_thread);

/// Enqueues depthwise_tiles.cu; weight is [out_channels, classes, class_taps], tap k at class
/// k % classes, then zeros.
void depthwise_tiles(const Conv1dProblem& problem, const DepthwiseTiles& tiles,
                     const DepthwiseTensors& tensors, CudaStream stream);

}  // namespace engine::cuda
