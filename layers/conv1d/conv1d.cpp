#include "layers/conv1d/conv1d.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "engine/error.h"
#include "layers/conv1d/conv_input.h"

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

Conv1d::Conv1d(const Attributes& attributes) : ConvLayer(attributes, false) {
  fixed_.padding_mode = parse_padding_mode(
      attributes.choice("padding_mode", {"zeros", "reflect", "replicate", "circular"}, "zeros"));
  if (!attributes.is_text("padding")) {
    std::tie(fixed_.pad_left, fixed_.pad_right) =
        read_padding(attributes, ", same, valid or causal");
    return;
  }
  const std::string kind = attributes.choice("padding", {"same", "valid", "causal"}, "valid");
  if (kind == "same" && fixed_.stride != 1) {
    attributes.fail("padding",
                    fmt::format("padding 'same' needs stride 1, found {}", fixed_.stride));
  }
  if (kind == "same") fixed_.pad_left = span_ / 2;
  if (kind == "causal") fixed_.pad_left = span_;
  if (kind == "same") fixed_.pad_right = span_ - fixed_.pad_left;
}

void Conv1d::check_padding(int64_t length) const {
  const int64_t most = std::max(fixed_.pad_left, fixed_.pad_right);
  if (fixed_.padding_mode == PaddingMode::kReflect && most >= length) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("padding_mode reflect needs an input longer than its padding of {}, "
                            "found length {}",
                            most, length));
  }
  if (fixed_.padding_mode == PaddingMode::kCircular && most > length) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("padding_mode circular needs an input at least as long as its padding "
                            "of {}, found length {}",
                            most, length));
  }
}

int64_t Conv1d::out_length(int64_t length) const {
  check_padding(length);
  const int64_t padded = length + fixed_.pad_left + fixed_.pad_right;
  if (padded <= span_) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("the kernel spans {} inputs (kernel_size {}, dilation {}), but the "
                            "padded input has {} (length {}, padding {} + {})",
                            span_ + 1, fixed_.kernel_size, fixed_.dilation, padded, length,
                            fixed_.pad_left, fixed_.pad_right));
  }
  return (padded - span_ - 1) / fixed_.stride + 1;
}

void register_conv1d(LayerRegistry& registry) { registry.add<Conv1d>("Conv1d"); }

}  // namespace engine
