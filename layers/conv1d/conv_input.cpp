#include "layers/conv1d/conv_input.h"

#include <fmt/format.h>

#include "engine/error.h"
#include "engine/layer.h"

namespace engine {

void expect_extent(const Attributes& attributes, const char* key, int64_t value) {
  if (value <= kMaxExtent) return;
  attributes.fail(key, fmt::format("'{}' must be at most {}, found {}", key, kMaxExtent, value));
}

int64_t kernel_span(const Attributes& attributes, int64_t kernel_size, int64_t dilation) {
  expect_extent(attributes, "dilation", dilation);
  int64_t span = 0;
  if (__builtin_mul_overflow(dilation, kernel_size - 1, &span) || span >= kMaxExtent) {
    attributes.fail("kernel_size", fmt::format("kernel_size {} with dilation {} spans more than {} "
                                               "inputs",
                                               kernel_size, dilation, kMaxExtent));
  }
  return span;
}

void expect_groups(const Attributes& attributes, int64_t out_channels, int64_t groups) {
  if (out_channels % groups == 0) return;
  attributes.fail("groups", fmt::format("out_channels ({}) must be divisible by groups ({})",
                                        out_channels, groups));
}

std::pair<int64_t, int64_t> read_padding(const Attributes& attributes, const char* also) {
  if (!attributes.has("padding")) return {0, 0};
  const std::vector<int64_t> sides = attributes.integers("padding");
  if (sides.empty() || sides.size() > 2) {
    attributes.fail("padding",
                    fmt::format("'padding' must be a number or [left, right]{}, found a list of {}",
                                also, sides.size()));
  }
  for (const int64_t side : sides) {
    if (side >= 0 && side <= kMaxExtent) continue;
    attributes.fail("padding",
                    fmt::format("'padding' must lie in [0, {}], found {}", kMaxExtent, side));
  }
  return {sides.front(), sides.back()};
}

void expect_conv_input(const TensorSpec& input, std::optional<int64_t> in_channels,
                       int64_t groups) {
  expect_rank(input, 3, "NCL");
  if (!is_floating(input.dtype)) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("expected floating-point input, found {}", to_string(input)));
  }
  const int64_t channels = input.shape[1];
  if (in_channels && channels != *in_channels) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("expected {} input channels (in_channels), found {} in {}",
                            *in_channels, channels, to_string(input.shape)));
  }
  if (channels % groups != 0) {
    throw Error(
        ErrorKind::kInvalidArgument,
        fmt::format("the input's {} channels must be divisible by groups ({})", channels, groups));
  }
  if (input.elements() == 0) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("the input {} is empty", to_string(input.shape)));
  }
}

}  // namespace engine
