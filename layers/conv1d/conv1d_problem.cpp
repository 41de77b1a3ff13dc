#include "layers/conv1d/conv1d_problem.h"

#include <fmt/format.h>

namespace engine {

const char* to_string(PaddingMode mode) {
  switch (mode) {
    case PaddingMode::kZeros:
      return "zeros";
    case PaddingMode::kReflect:
      return "reflect";
    case PaddingMode::kReplicate:
      return "replicate";
    case PaddingMode::kCircular:
      return "circular";
  }
  return "?";
}

std::string to_string(const Conv1dProblem& p) {
  return fmt::format(
      "{} {} x [{}, {}, {}] w [{}, {}, {}] y [{}, {}, {}] stride {} padding {}+{} {} dilation {} "
      "groups {}{} then {}{}",
      p.transposed ? "ConvTranspose1d" : "Conv1d", to_string(p.precision), p.batch, p.in_channels,
      p.in_length, p.out_channels, p.group_inputs(), p.kernel_size, p.batch, p.out_channels,
      p.out_length, p.stride, p.pad_left, p.pad_right, to_string(p.padding_mode), p.dilation,
      p.groups, p.bias ? " bias" : "", to_string(p.activation.kind),
      p.residual ? fmt::format(" plus residual then {}", to_string(p.residual_activation.kind))
                 : "");
}

}  // namespace engine
