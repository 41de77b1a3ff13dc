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

WeightReader weight_reader(const Conv1dProblem& p, const Tensor& weight) {
  const int64_t inputs = p.group_inputs(), outputs = p.group_outputs(), taps = p.kernel_size;
  const int64_t group = inputs * outputs * taps;
  if (p.transposed) return {weight.data<float>(), group, taps, outputs * taps};
  return {weight.data<float>(), group, inputs * taps, taps};
}

}  // namespace engine
