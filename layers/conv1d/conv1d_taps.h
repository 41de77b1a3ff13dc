// A Conv1d or ConvTranspose1d as the sum over taps that kernels compute.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/tensor.h"
#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/tap_problem.h"

namespace engine {

TapProblem tap_problem(const Conv1dProblem& problem);

/// Reads w[g, m, c, k] out of `weight`, shaped as the layer's parameter.
std::function<float(int64_t g, int64_t m, int64_t c, int64_t k)> weight_reader(
    const Conv1dProblem& problem, const Tensor& weight);

}  // namespace engine
