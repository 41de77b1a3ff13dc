#include "layers/conv1d/cuda/tap_convolution.h"

#include <algorithm>

#include "engine/round_up.h"

namespace engine::cuda {

int64_t tap_convolution_channels(const TapProblem& problem) {
  return problem.group_outputs >= 8 ? 8 : (problem.group_outputs >= 3 ? 4 : 1);
}

int64_t tap_convolution_positions(const TapProblem& problem) {
  constexpr int64_t kThreadsToFill = 132 * 1024;
  const int64_t blocks = ceil_divide(problem.group_outputs, tap_convolution_channels(problem));
  return problem.batch * problem.groups * blocks * problem.out_length >= 4 * kThreadsToFill ? 4 : 1;
}

Tensor pack_tap_weights(const TapProblem& problem,
                        const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight) {
  const int64_t width = tap_convolution_channels(problem);
  const int64_t blocks = (problem.group_outputs + width - 1) / width;
  const int64_t taps = problem.taps.kernel_size();
  Tensor packed =
      Tensor::zeros({problem.groups, blocks, problem.group_inputs, taps, width}, DType::kF32);
  float* target = packed.data<float>();
  for (int64_t g = 0; g < problem.groups; ++g) {
    for (int64_t m0 = 0; m0 < blocks * width; m0 += width) {
      const int64_t valid = std::min(width, problem.group_outputs - m0);
      for (int64_t c = 0; c < problem.group_inputs; ++c) {
        for (int64_t k = 0; k < taps; ++k, target += width) {
          for (int64_t m = 0; m < valid; ++m) target[m] = weight(g, m0 + m, c, k);
        }
      }
    }
  }
  return packed;
}

}  // namespace engine::cuda
