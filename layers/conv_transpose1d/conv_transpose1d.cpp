// ConvTranspose1d, as torch.nn.ConvTranspose1d, with unequal padding too. Its kernels are those of
// Conv1d's table that compute transposed problems.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <tuple>

#include "engine/error.h"
#include "layers/conv1d/conv_input.h"
#include "layers/conv1d/conv_layer.h"

namespace engine {
namespace {

/// x [N, in_channels, L] -> y [N, out_channels, L'] with
///   L' = (L - 1) stride - left - right + dilation (kernel_size - 1) + output_padding + 1.
/// Attributes: out_channels, kernel_size (required); in_channels (checked where given), stride,
/// padding (number or [left, right]), output_padding, dilation, groups, bias.
/// Parameters: weight [in_channels, out_channels / groups, kernel_size], bias [out_channels].
class ConvTranspose1d : public ConvLayer {
 public:
  explicit ConvTranspose1d(const Attributes& attributes)
      : ConvLayer(attributes, true), output_padding_(attributes.non_negative("output_padding", 0)) {
    attributes.choice("padding_mode", {"zeros"}, "zeros");
    std::tie(fixed_.pad_left, fixed_.pad_right) = read_padding(attributes, "");
    if (output_padding_ >= std::max(fixed_.stride, fixed_.dilation)) {
      attributes.fail("output_padding",
                      fmt::format("output_padding ({}) must be less than stride ({}) or dilation "
                                  "({})",
                                  output_padding_, fixed_.stride, fixed_.dilation));
    }
  }

 private:
  int64_t out_length(int64_t length) const override {
    int64_t strides = 0;
    if (__builtin_mul_overflow(length - 1, fixed_.stride, &strides)) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("the output length does not fit 64 bits (length {}, stride {})",
                              length, fixed_.stride));
    }
    const int64_t result =
        strides + span_ + 1 + output_padding_ - fixed_.pad_left - fixed_.pad_right;
    if (result >= 1) return result;
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("the output length would be {}: padding {} + {} takes all of length {} "
                            "with kernel_size {}, stride {}, dilation {}, output_padding {}",
                            result, fixed_.pad_left, fixed_.pad_right, length, fixed_.kernel_size,
                            fixed_.stride, fixed_.dilation, output_padding_));
  }

  std::unique_ptr<ConvLayer> copy() const override {
    return std::make_unique<ConvTranspose1d>(*this);
  }

  int64_t output_padding_;
};

}  // namespace

void register_conv_transpose1d(LayerRegistry& registry) {
  registry.add<ConvTranspose1d>("ConvTranspose1d");
}

}  // namespace engine
