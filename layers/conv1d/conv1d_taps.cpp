#include "layers/conv1d/conv1d_taps.h"

namespace engine {

TapProblem tap_problem(const Conv1dProblem& p) {
  TapProblem problem;
  problem.batch = p.batch;
  problem.groups = p.groups;
  problem.group_inputs = p.group_inputs();
  problem.group_outputs = p.group_outputs();
  problem.in_length = p.in_length;
  problem.out_length = p.out_length;
  problem.taps = p.transposed ? TapRule::transposed(p.kernel_size, p.stride, p.dilation, p.pad_left)
                              : TapRule::forward(p.kernel_size, p.stride, p.dilation, p.pad_left);
  problem.padding_mode = p.padding_mode;
  problem.activation = p.activation;
  problem.residual_activation = p.residual_activation;
  return problem;
}

std::function<float(int64_t, int64_t, int64_t, int64_t)> weight_reader(const Conv1dProblem& p,
                                                                       const Tensor& weight) {
  const float* values = weight.data<float>();
  if (p.transposed) {
    return [=](int64_t g, int64_t m, int64_t c, int64_t k) {
      return values[((g * p.group_inputs() + c) * p.group_outputs() + m) * p.kernel_size + k];
    };
  }
  return [=](int64_t g, int64_t m, int64_t c, int64_t k) {
    return values[((g * p.group_outputs() + m) * p.group_inputs() + c) * p.kernel_size + k];
  };
}

}  // namespace engine
