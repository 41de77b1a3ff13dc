// Checks of sizes that the convolutions share.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/attributes.h"
#include "engine/tensor.h"

namespace engine {

/// The largest stride, padding and kernel span: products of any two of them fit 64 bits.
inline constexpr int64_t kMaxExtent = int64_t{1} << 31;

/// Throws Error(kModel) at `key` unless `value` is at most kMaxExtent.
void expect_extent(const Attributes& attributes, const char* key, int64_t value);

/// Inputs between a kernel's first tap and its last: dilation (kernel_size - 1). Throws
/// Error(kModel) where that is beyond kMaxExtent.
int64_t kernel_span(const Attributes& attributes, int64_t kernel_size, int64_t dilation);

/// Throws Error(kModel) unless out_channels is divisible by groups.
void expect_groups(const Attributes& attributes, int64_t out_channels, int64_t groups);

/// The padding on both sides that key `padding` gives as a number or as [left, right]; 0 without.
/// Throws Error(kModel) for anything else; `also` names what else the layer would have taken.
std::pair<int64_t, int64_t> read_padding(const Attributes& attributes, const char* also);

/// Throws Error(kInvalidArgument) unless `input` is a floating-point NCL tensor that is not empty,
/// has `in_channels` channels where that is given, and a number of them divisible by `groups`.
void expect_conv_input(const TensorSpec& input, std::optional<int64_t> in_channels, int64_t groups);

}  // namespace engine
