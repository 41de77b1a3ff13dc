// What a convolution on the CPU runs on.
#pragma once

#include <cstdint>

#include "layers/conv1d/tap_problem.h"

namespace engine::cpu {

/// Tensors of one run, in memory.
struct ConvolutionArrays {
  const float* input;
  const float* weights;   ///< as the convolution's pack_weights() made them
  const float* bias;      ///< [groups * M], or null
  const float* residual;  ///< shaped as the output, or null
  float* output;
};

/// What of them belongs to one sample and group, which are counted group after group of sample
/// after sample; the weights stay those of all groups.
inline ConvolutionArrays arrays_of_part(const ConvolutionArrays& all, const TapProblem& p,
                                        int64_t part) {
  const int64_t first_output = part * p.group_outputs * p.out_length;
  return {all.input + part * p.group_inputs * p.in_length, all.weights,
          all.bias ? all.bias + part % p.groups * p.group_outputs : nullptr,
          all.residual ? all.residual + first_output : nullptr, all.output + first_output};
}

}  // namespace engine::cpu
