#include "layers/conv1d/conv_layer.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/error.h"
#include "layers/conv1d/conv1d_select.h"
#include "layers/conv1d/conv_input.h"
#include "layers/fold_affine.h"

namespace engine {

ConvLayer::ConvLayer(const Attributes& attributes, bool transposed)
    : in_channels_(attributes.optional_positive("in_channels")) {
  fixed_.out_channels = attributes.positive("out_channels");
  fixed_.kernel_size = attributes.positive("kernel_size");
  fixed_.stride = attributes.positive("stride", 1);
  fixed_.dilation = attributes.positive("dilation", 1);
  fixed_.groups = attributes.positive("groups", 1);
  fixed_.bias = attributes.boolean("bias", true);
  fixed_.transposed = transposed;
  expect_groups(attributes, fixed_.out_channels, fixed_.groups);
  expect_extent(attributes, "stride", fixed_.stride);
  span_ = kernel_span(attributes, fixed_.kernel_size, fixed_.dilation);
}

Conv1dProblem ConvLayer::problem(const TensorSpec& input, Precision precision) const {
  expect_conv_input(input, in_channels_, fixed_.groups);
  Conv1dProblem p = fixed_;
  p.batch = input.shape[0];
  p.in_channels = input.shape[1];
  p.in_length = input.shape[2];
  p.out_length = out_length(p.in_length);
  p.dtype = input.dtype;
  p.precision = precision;
  return p;
}

std::vector<TensorSpec> ConvLayer::infer(const std::vector<TensorSpec>& inputs) const {
  expect_inputs(inputs, fixed_.residual ? 2 : 1);
  const Conv1dProblem p = problem(inputs[0], Precision::kFp32);
  const TensorSpec output{{p.batch, p.out_channels, p.out_length}, p.dtype};
  if (fixed_.residual && inputs[1] != output) {
    throw Error(ErrorKind::kInvalidArgument, fmt::format("expected a residual {}, found {}",
                                                         to_string(output), to_string(inputs[1])));
  }
  return {output};
}

std::vector<ParameterSpec> ConvLayer::parameters(const std::vector<TensorSpec>& inputs) const {
  const Conv1dProblem p = problem(inputs[0], Precision::kFp32);
  const Shape weight = p.transposed ? Shape{p.in_channels, p.group_outputs(), p.kernel_size}
                                    : Shape{p.out_channels, p.group_inputs(), p.kernel_size};
  // torch's default for both: kaiming_uniform with a = sqrt(5) is this bound, where the fan-in is
  // the weight's size without its first dimension.
  const auto fan_in = static_cast<double>(weight[1] * weight[2]);
  const Init init = Init::uniform(1.0 / std::sqrt(fan_in));
  std::vector<ParameterSpec> specs{{"weight", weight, init}};
  if (p.bias) specs.push_back({"bias", {p.out_channels}, init});
  return specs;
}

Step ConvLayer::prepare(const PrepareContext& context) const {
  const Conv1dProblem p = problem(context.inputs[0], context.precision);
  const Conv1dChoice choice = select_conv1d(p, context.device.type, context.kernel);
  Step step = choice.kernel->prepare(p, context);
  step.kernel = choice.kernel->name;
  step.reason = choice.reason;
  return step;
}

int64_t ConvLayer::flops(const std::vector<TensorSpec>& inputs,
                         const std::vector<TensorSpec>&) const {
  return static_cast<int64_t>(problem(inputs[0], Precision::kFp32).flops());
}

std::optional<Reach> ConvLayer::reach() const {
  const auto stride = static_cast<double>(fixed_.stride);
  if (fixed_.transposed) return Reach{span_ / fixed_.stride + 1, 1.0 / stride};
  return Reach{span_ + 1, stride};
}

std::unique_ptr<Layer> ConvLayer::with_affine(const ChannelAffine& affine,
                                              const TensorSpec& output) const {
  if (fixed_.residual || fixed_.activation.kind != Activation::Kind::kIdentity) return nullptr;
  if (output.shape.size() != 3 || !fits_affine(affine, fixed_.out_channels)) return nullptr;
  // weight[m, c, k] belongs to output m; transposed, weight[c, m, k] to output m of the group of
  // input c.
  const int64_t first = parameter("weight").size(0), taps = fixed_.kernel_size;
  const int64_t per_first = parameter("weight").elements() / first;
  const int64_t group_inputs = first / fixed_.groups, group_outputs = fixed_.group_outputs();
  const bool transposed = fixed_.transposed;
  const auto channel_of = [=](int64_t run) {
    return transposed ? run / group_outputs / group_inputs * group_outputs + run % group_outputs
                      : run;
  };
  auto folded = copy();
  folded->fixed_.bias = true;
  folded->set_parameters(
      fold_affine(loaded_parameters(), affine, transposed ? taps : per_first, channel_of));
  return folded;
}

std::unique_ptr<Layer> ConvLayer::with_activation(const Activation& activation) const {
  auto fused = copy();
  Activation& last = fixed_.residual ? fused->fixed_.residual_activation : fused->fixed_.activation;
  if (last.kind != Activation::Kind::kIdentity) return nullptr;
  last = activation;
  return fused;
}

std::unique_ptr<Layer> ConvLayer::with_residual() const {
  if (fixed_.residual) return nullptr;
  auto fused = copy();
  fused->fixed_.residual = true;
  return fused;
}

}  // namespace engine
