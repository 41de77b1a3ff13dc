// What a convolution on the CPU runs on.
#pragma once

namespace engine::cpu {

/// Tensors of one run, in memory.
struct ConvolutionArrays {
  const float* input;
  const float* weights;   ///< as the convolution's pack_weights() made them
  const float* bias;      ///< [groups * M], or null
  const float* residual;  ///< shaped as the output, or null
  float* output;
};

}  // namespace engine::cpu
