#include "layers/conv1d/conv1d.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "engine/error.h"
#include "layers/conv1d/conv1d_select.h"
#include "layers/conv1d/conv_input.h"
#include "layers/fold_affine.h"

namespace engine {
namespace {

PaddingMode parse_padding_mode(const std::string& name) {
  for (const PaddingMode mode :
       {PaddingMode::kReflect, PaddingMode::kReplicate, PaddingMode::kCircular}) {
    if (name == to_string(mode)) return mode;
  }
  return PaddingMode::kZeros;
}

}  // namespace

Conv1d::Conv1d(const Attributes& attributes)
    : out_channels_(attributes.positive("out_channels")),
      in_channels_(attributes.optional_positive("in_channels")),
      kernel_size_(attributes.positive("kernel_size")),
      stride_(attributes.positive("stride", 1)),
      dilation_(attributes.positive("dilation", 1)),
      groups_(attributes.positive("groups", 1)),
      bias_(attributes.boolean("bias", true)),
      padding_mode_(parse_padding_mode(attributes.choice(
          "padding_mode", {"zeros", "reflect", "replicate", "circular"}, "zeros"))) {
  expect_groups(attributes, out_channels_, groups_);
  expect_extent(attributes, "stride", stride_);
  const int64_t span = kernel_span(attributes, kernel_size_, dilation_);
  if (!attributes.is_text("padding")) {
    std::tie(pad_left_, pad_right_) = read_padding(attributes, ", same, valid or causal");
    return;
  }
  const std::string kind = attributes.choice("padding", {"same", "valid", "causal"}, "valid");
  if (kind == "same" && stride_ != 1) {
    attributes.fail("padding", fmt::format("padding 'same' needs stride 1, found {}", stride_));
  }
  if (kind == "same") pad_left_ = span / 2;
  if (kind == "causal") pad_left_ = span;
  if (kind == "same") pad_right_ = span - pad_left_;
}

void Conv1d::check_padding(int64_t length) const {
  const int64_t most = std::max(pad_left_, pad_right_);
  if (padding_mode_ == PaddingMode::kReflect && most >= length) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("padding_mode reflect needs an input longer than its padding of {}, "
                            "found length {}",
                            most, length));
  }
  if (padding_mode_ == PaddingMode::kCircular && most > length) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("padding_mode circular needs an input at least as long as its padding "
                            "of {}, found length {}",
                            most, length));
  }
}

Conv1dProblem Conv1d::problem(const TensorSpec& input, Precision precision) const {
  expect_conv_input(input, in_channels_, groups_);
  Conv1dProblem p;
  p.batch = input.shape[0];
  p.in_channels = input.shape[1];
  p.in_length = input.shape[2];
  check_padding(p.in_length);
  p.out_channels = out_channels_;
  p.kernel_size = kernel_size_;
  p.stride = stride_;
  p.pad_left = pad_left_;
  p.pad_right = pad_right_;
  p.dilation = dilation_;
  p.groups = groups_;
  p.padding_mode = padding_mode_;
  p.bias = bias_;
  p.activation = activation_;
  p.dtype = input.dtype;
  p.precision = precision;
  const int64_t padded = p.in_length + pad_left_ + pad_right_;
  const int64_t span = dilation_ * (kernel_size_ - 1) + 1;
  if (padded < span) {
    throw Error(
        ErrorKind::kInvalidArgument,
        fmt::format("the kernel spans {} inputs (kernel_size {}, dilation {}), but the "
                    "padded input has {} (length {}, padding {} + {})",
                    span, kernel_size_, dilation_, padded, p.in_length, pad_left_, pad_right_));
  }
  p.out_length = (padded - span) / stride_ + 1;
  return p;
}

std::vector<TensorSpec> Conv1d::infer(const std::vector<TensorSpec>& inputs) const {
  expect_inputs(inputs, 1);
  const Conv1dProblem p = problem(inputs[0], Precision::kFp32);
  return {{{p.batch, p.out_channels, p.out_length}, p.dtype}};
}

std::vector<ParameterSpec> Conv1d::parameters(const std::vector<TensorSpec>& inputs) const {
  const Conv1dProblem p = problem(inputs[0], Precision::kFp32);
  // torch's default: kaiming_uniform with a = sqrt(5), which is this bound, for both.
  const Init init = Init::uniform(1.0 / std::sqrt(static_cast<double>(p.reduction())));
  std::vector<ParameterSpec> specs{
      {"weight", {out_channels_, p.group_inputs(), kernel_size_}, init}};
  if (bias_) specs.push_back({"bias", {out_channels_}, init});
  return specs;
}

Step Conv1d::prepare(const PrepareContext& context) const {
  const Conv1dProblem p = problem(context.inputs[0], context.precision);
  const Conv1dChoice choice = select_conv1d(p, context.device.type);
  Step step = choice.kernel->prepare(p, context);
  step.kernel = choice.kernel->name;
  step.reason = choice.reason;
  return step;
}

int64_t Conv1d::flops(const std::vector<TensorSpec>& inputs,
                      const std::vector<TensorSpec>& outputs) const {
  return 2 * outputs[0].elements() * (inputs[0].shape[1] / groups_) * kernel_size_;
}

std::optional<Reach> Conv1d::reach() const {
  return Reach{dilation_ * (kernel_size_ - 1) + 1, static_cast<double>(stride_)};
}

std::unique_ptr<Layer> Conv1d::with_affine(const ChannelAffine& affine,
                                           const TensorSpec& output) const {
  if (activation_.kind != Activation::Kind::kIdentity) return nullptr;
  if (output.shape.size() != 3 || !fits_affine(affine, out_channels_)) return nullptr;
  auto folded = std::make_unique<Conv1d>(*this);
  folded->bias_ = true;
  const int64_t per_channel = parameter("weight").elements() / out_channels_;
  folded->set_parameters(fold_affine(loaded_parameters(), affine,
                                     [per_channel](int64_t i) { return i / per_channel; }));
  return folded;
}

std::unique_ptr<Layer> Conv1d::with_activation(const Activation& activation) const {
  if (activation_.kind != Activation::Kind::kIdentity) return nullptr;
  auto fused = std::make_unique<Conv1d>(*this);
  fused->activation_ = activation;
  return fused;
}

void register_conv1d(LayerRegistry& registry) { registry.add<Conv1d>("Conv1d"); }

}  // namespace engine
