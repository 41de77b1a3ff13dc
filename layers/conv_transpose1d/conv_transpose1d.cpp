// ConvTranspose1d, as torch.nn.ConvTranspose1d, with unequal padding too.
//
// Computed by output phase (layers/conv1d/tap_problem.h): outputs with the same remainder by the
// stride share their taps, and each of them only reads the inputs that reach it.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <tuple>

#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "engine/layer.h"
#include "layers/conv1d/conv_input.h"
#include "layers/conv1d/cpu/tap_convolution.h"
#include "layers/conv1d/cuda/tap_convolution.h"
#include "layers/conv1d/tap_problem.h"
#include "layers/fold_affine.h"

namespace engine {
namespace {

/// x [N, in_channels, L] -> y [N, out_channels, L'] with
///   L' = (L - 1) stride - left - right + dilation (kernel_size - 1) + output_padding + 1.
/// Attributes: out_channels, kernel_size (required); in_channels (checked where given), stride,
/// padding (number or [left, right]), output_padding, dilation, groups, bias.
/// Parameters: weight [in_channels, out_channels / groups, kernel_size], bias [out_channels].
class ConvTranspose1d : public Layer {
 public:
  explicit ConvTranspose1d(const Attributes& attributes)
      : out_channels_(attributes.positive("out_channels")),
        in_channels_(attributes.optional_positive("in_channels")),
        kernel_size_(attributes.positive("kernel_size")),
        stride_(attributes.positive("stride", 1)),
        output_padding_(attributes.non_negative("output_padding", 0)),
        dilation_(attributes.positive("dilation", 1)),
        groups_(attributes.positive("groups", 1)),
        bias_(attributes.boolean("bias", true)) {
    attributes.choice("padding_mode", {"zeros"}, "zeros");
    expect_groups(attributes, out_channels_, groups_);
    expect_extent(attributes, "stride", stride_);
    span_ = kernel_span(attributes, kernel_size_, dilation_);
    std::tie(pad_left_, pad_right_) = read_padding(attributes, "");
    if (output_padding_ >= std::max(stride_, dilation_)) {
      attributes.fail("output_padding",
                      fmt::format("output_padding ({}) must be less than stride ({}) or dilation "
                                  "({})",
                                  output_padding_, stride_, dilation_));
    }
  }

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    const TapProblem p = problem(inputs[0]);
    return {{{p.batch, out_channels_, p.out_length}, inputs[0].dtype}};
  }

  std::vector<ParameterSpec> parameters(const std::vector<TensorSpec>& inputs) const override {
    const TapProblem p = problem(inputs[0]);
    // torch's default: kaiming_uniform with a = sqrt(5) over what it takes for the fan-in, the
    // weight's size without its first dimension.
    const auto fan_in = static_cast<double>(p.group_outputs * kernel_size_);
    const Init init = Init::uniform(1.0 / std::sqrt(fan_in));
    std::vector<ParameterSpec> specs{
        {"weight", {inputs[0].shape[1], p.group_outputs, kernel_size_}, init}};
    if (bias_) specs.push_back({"bias", {out_channels_}, init});
    return specs;
  }

  Step prepare(const PrepareContext& context) const override {
    const TapProblem p = problem(context.inputs[0]);
    const float* weights = parameter("weight").data<float>();
    const auto weight = [=](int64_t g, int64_t m, int64_t c, int64_t k) {
      return weights[((g * p.group_inputs + c) * p.group_outputs + m) * p.taps.kernel_size() + k];
    };
    if (!context.device.is_cuda()) return prepare_cpu(p, context, weight);
    Step step;
    if constexpr (kWithCuda) step = cuda::prepare_tap_convolution(p, bias_, context, weight);
    step.kernel = "conv_transpose1d_direct_cuda";
    return step;
  }

  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>&) const override {
    return 2 * inputs[0].elements() * (out_channels_ / groups_) * kernel_size_;
  }

  std::optional<Reach> reach() const override {
    return Reach{span_ / stride_ + 1, 1.0 / static_cast<double>(stride_)};
  }

  std::unique_ptr<Layer> with_affine(const ChannelAffine& affine,
                                     const TensorSpec& output) const override {
    if (activation_.kind != Activation::Kind::kIdentity) return nullptr;
    if (output.shape.size() != 3 || !fits_affine(affine, out_channels_)) return nullptr;
    auto folded = std::make_unique<ConvTranspose1d>(*this);
    folded->bias_ = true;
    // weight[c, m, k] belongs to output m of the group of input c.
    const int64_t group_outputs = out_channels_ / groups_;
    const int64_t group_inputs = parameter("weight").size(0) / groups_;
    const auto channel_of = [=, taps = kernel_size_](int64_t i) {
      const int64_t input = i / (group_outputs * taps);
      return input / group_inputs * group_outputs + i / taps % group_outputs;
    };
    folded->set_parameters(fold_affine(loaded_parameters(), affine, channel_of));
    return folded;
  }

  std::unique_ptr<Layer> with_activation(const Activation& activation) const override {
    if (activation_.kind != Activation::Kind::kIdentity) return nullptr;
    auto fused = std::make_unique<ConvTranspose1d>(*this);
    fused->activation_ = activation;
    return fused;
  }

 private:
  using Weight = std::function<float(int64_t, int64_t, int64_t, int64_t)>;

  TapProblem problem(const TensorSpec& input) const {
    expect_conv_input(input, in_channels_, groups_);
    TapProblem p;
    p.batch = input.shape[0];
    p.groups = groups_;
    p.group_inputs = input.shape[1] / groups_;
    p.group_outputs = out_channels_ / groups_;
    p.in_length = input.shape[2];
    p.out_length = out_length(p.in_length);
    p.taps = TapRule::transposed(kernel_size_, stride_, dilation_, pad_left_);
    p.activation = activation_;
    return p;
  }

  int64_t out_length(int64_t length) const {
    int64_t strides = 0;
    if (__builtin_mul_overflow(length - 1, stride_, &strides)) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("the output length does not fit 64 bits (length {}, stride {})",
                              length, stride_));
    }
    const int64_t result = strides + span_ + 1 + output_padding_ - pad_left_ - pad_right_;
    if (result >= 1) return result;
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("the output length would be {}: padding {} + {} takes all of length {} "
                            "with kernel_size {}, stride {}, dilation {}, output_padding {}",
                            result, pad_left_, pad_right_, length, kernel_size_, stride_, dilation_,
                            output_padding_));
  }

  Step prepare_cpu(const TapProblem& p, const PrepareContext& context, const Weight& weight) const {
    const bool one_row = p.group_outputs <= 2;
    const auto convolution = std::make_shared<const cpu::TapConvolution>(
        p, one_row ? cpu::RowBlock::kOne : cpu::RowBlock::kFour, context.threads);
    const Tensor packed =
        context.weight("weight by phase", [&] { return convolution->pack_weights(weight); });
    const Tensor bias = bias_ ? context.parameter("bias") : Tensor();
    Step step;
    step.kernel = "conv_transpose1d_tiled_cpu";
    step.enqueue = [=](const StepContext& c) {
      convolution->run(c.input<float>(), packed.data<float>(),
                       bias.defined() ? bias.data<float>() : nullptr, c.output<float>(),
                       *c.threads);
    };
    return step;
  }

  int64_t out_channels_;
  std::optional<int64_t> in_channels_;
  int64_t kernel_size_;
  int64_t stride_;
  int64_t pad_left_ = 0;
  int64_t pad_right_ = 0;
  int64_t output_padding_;
  int64_t dilation_;
  int64_t groups_;
  bool bias_;
  int64_t span_ = 0;       // from the first tap to the last, in outputs
  Activation activation_;  // fused behind the convolution
};

}  // namespace

void register_conv_transpose1d(LayerRegistry& registry) {
  registry.add<ConvTranspose1d>("ConvTranspose1d");
}

}  // namespace engine
