// Depthwise convolution on the GPU: every output channel reads one input channel.
#pragma once

#include <cstdint>

#include "engine/layer.h"
#include "layers/conv1d/conv1d_problem.h"

namespace engine::cuda {

/// What the depthwise kernels compute on.
struct DepthwiseTensors {
  const void* input = nullptr;
  const float* weight = nullptr;   ///< taps and biases, as pack_depthwise_weights() made them
  const void* residual = nullptr;  ///< shaped and stored as the output, or null
  void* output = nullptr;
};

/// How a channel's taps and bias lie: tap k in class k % classes, class_taps places for each class;
/// the bias behind all classes; zeros up to a multiple of 4.
struct DepthwiseWeights {
  int64_t classes = 1;
  int64_t class_taps = 0;

  int64_t bias_place() const { return classes * class_taps; }
  int64_t pitch() const { return bias_place() / 4 * 4 + 4; }
};

inline constexpr int kDepthwisePackWarps = 4;  ///< of a block
inline constexpr int kDepthwisePass = 32;  ///< packs of 16 bytes of y that a warp computes at once

/// How depthwise_packs.cu cuts a problem.
struct DepthwisePacks {
  DepthwiseWeights weights;
  int64_t segment = 0;          ///< outputs of a warp; whole passes
  int64_t row_segments = 0;     ///< of an output row
  int64_t staged_dilation = 1;  ///< from tap to tap in shared memory
  int64_t group_taps = 0;  ///< staged at a time; a multiple of 8 where there are several groups
  int64_t warp_packs = 0;  ///< of 16 bytes of shared memory

  int64_t shared_bytes() const { return kDepthwisePackWarps * 16 * warp_packs; }
};

/// The cut with at most so many passes for each warp.
DepthwisePacks cut_depthwise_packs(const Conv1dProblem& problem, int64_t most_passes);

/// Enqueues depthwise_packs.cu.
void depthwise_packs(const Conv1dProblem& problem, const DepthwisePacks& cut,
                     const DepthwiseTensors& tensors, CudaStream stream);

inline constexpr int kDepthwiseTileThreads = 128;

/// How depthwise_tiles.cu cuts a problem.
///
/// Outputs `spacing` apart read inputs `step` = lcm(stride, dilation) apart, and so do every
/// `classes`-th taps: such outputs slide over the same inputs. A group is `spacing` * `per_thread`
/// neighbouring outputs, one thread for each `spacing`-th of them.
struct DepthwiseTiles {
  DepthwiseWeights weights;
  int64_t per_thread = 0;     ///< outputs of a thread: 15 or 7
  int64_t spacing = 1;        ///< D / gcd(S, D)
  int64_t step = 1;           ///< lcm(S, D)
  int64_t row_groups = 0;     ///< groups of an output row
  int64_t block_groups = 0;   ///< of a block; 0 where a group is too much for one
  int64_t row_packs = 0;      ///< of 16 bytes of input that a whole row takes in shared memory
  int64_t input_packs = 0;    ///< that a block takes, at most
  int64_t output_floats = 0;  ///< of shared memory
  int64_t tap_pitch = 0;      ///< of a channel in shared memory, in floats
  int64_t rows = 0;           ///< that a block's outputs lie in, at most

  int64_t shared_bytes() const { return 16 * input_packs + 4 * (output_floats + tap_pitch * rows); }
  int64_t blocks(const Conv1dProblem& p) const {
    return (p.batch * p.out_channels * row_groups - 1) / block_groups + 1;
  }
};

/// The cut with `per_thread` outputs for each thread.
DepthwiseTiles cut_depthwise_tiles(const Conv1dProblem& problem, int per_thread);

/// Enqueues depthwise_tiles.cu.
void depthwise_tiles(const Conv1dProblem& problem, const DepthwiseTiles& cut,
                     const DepthwiseTensors& tensors, CudaStream stream);

}  // namespace engine::cuda
