// Any TapProblem on the GPU: the direct kernel of Conv1d and ConvTranspose1d.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/layer.h"
#include "layers/conv1d/tap_problem.h"

namespace engine::cuda {

/// Output channels that one thread computes: 8, 4 or 1, by the outputs of a group.
int64_t tap_convolution_channels(const TapProblem& problem);

inline constexpr int64_t kTapThreads = 128;  ///< of a block

/// Output positions that one thread computes: 4 where there is enough work to fill the GPU, else 1.
int64_t tap_convolution_positions(const TapProblem& problem);

/// Weights in the order that the kernel reads: [groups, blocks of channels, C, kernel_size,
/// channels of a block] in f32, zeros beyond M. `weight(g, m, c, k)` gives one of them.
Tensor pack_tap_weights(const TapProblem& problem,
                        const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight);

/// Enqueues the convolution. `input`, `residual` (or null) and `output` are of `dtype`; `weights`
/// as pack_tap_weights() made them; `bias` is f32, groups * M values, or null.
void tap_convolution(const TapProblem& problem, DType dtype, const void* input,
                     const float* weights, const float* bias, const void* residual, void* output,
                     CudaStream stream);

}  // namespace engine::cuda
