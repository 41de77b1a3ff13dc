// Linear on the CPU.
#pragma once

#include <cstdint>

#include "engine/activation.h"
#include "engine/cpu/thread_pool.h"
#include "engine/tensor.h"

namespace engine {

/// x is [rows, inputs], the weight [outputs, inputs], y [rows, outputs], all row-major.
struct LinearProblem {
  int64_t rows;
  int64_t inputs;
  int64_t outputs;
  Activation activation;  ///< f
};

/// The weight [outputs, inputs] as linear_cpu() reads it: [blocks of outputs, inputs, outputs of a
/// block], zeros beyond the last output.
Tensor pack_linear_weight(const Tensor& weight);

/// y = f(x W^T + bias); `bias` has a value for each output or is null.
void linear_cpu(const LinearProblem& problem, const float* x, const float* packed_weight,
                const float* bias, float* y, ThreadPool& threads);

}  // namespace engine
