// A Conv1d or ConvTranspose1d as the sum over taps that kernels compute.
#pragma once

#include <cstdint>

#include "engine/tensor.h"
#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/tap_problem.h"

namespace engine {

TapProblem tap_problem(const Conv1dProblem& problem);

/// Reads w[g, m, c, k] out of a tensor that is shaped as the layer's parameter.
struct WeightReader {
  const float* values;
  int64_t group_step;
  int64_t output_step;
  int64_t input_step;

  float operator()(int64_t g, int64_t m, int64_t c, int64_t k) const {
    return values[g * group_step + m * output_step + c * input_step + k];
  }
};
WeightReader weight_reader(const Conv1dProblem& problem, const Tensor& weight);

}  // namespace engine
