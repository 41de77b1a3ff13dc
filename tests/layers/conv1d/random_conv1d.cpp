#include "tests/layers/conv1d/random_conv1d.h"

#include <fmt/format.h>

#include <algorithm>

namespace engine::test {
namespace {

// "padding: ..." and the inputs that it adds to a length.
struct Padding {
  std::string text;
  int64_t left = 0;
  int64_t right = 0;
};

Padding draw_padding(Random& random, int64_t stride, int64_t span, int64_t most) {
  const int64_t kind = random.integer(0, 5);
  if (kind == 0 && stride == 1 && span - span / 2 <= most) {
    return {", padding: same", span / 2, span - span / 2};
  }
  if (kind == 1 && span <= most) return {", padding: causal", span, 0};
  if (kind == 2) return {", padding: valid", 0, 0};
  const int64_t left = random.integer(0, most), right = random.integer(0, most);
  if (kind == 3) return {fmt::format(", padding: {}", left), left, left};
  if (kind == 4) return {fmt::format(", padding: [{}, {}]", left, right), left, right};
  return {"", 0, 0};
}

// Sizes that do not depend on each other.
struct Sizes {
  int64_t groups;
  int64_t group_inputs;
  int64_t group_outputs;
  int64_t kernel_size;
  int64_t stride;
  int64_t dilation;
  int64_t length;
};

// Draws the rest, so that the case is legal.
LayerCase complete(const Sizes& sizes, uint64_t seed, Random& random) {
  const std::string mode =
      random.pick<std::string>({"zeros", "zeros", "reflect", "replicate", "circular"});
  const int64_t span = sizes.dilation * (sizes.kernel_size - 1);
  const int64_t most = mode == "reflect"    ? sizes.length - 1
                       : mode == "circular" ? sizes.length
                                            : std::min<int64_t>(span + 3, 40);
  Padding padding = draw_padding(random, sizes.stride, span, most);
  // Too short an input is made longer, so that every seed is a legal case.
  const int64_t missing = span + 1 - padding.left - padding.right - sizes.length;
  const int64_t legal_length = sizes.length + std::max<int64_t>(missing, 0);
  const bool bias = random.chance(0.7);
  return {"Conv1d",
          fmt::format("{{out_channels: {}, kernel_size: {}, stride: {}, dilation: {}, groups: {}, "
                      "padding_mode: {}, bias: {}{}}}",
                      sizes.groups * sizes.group_outputs, sizes.kernel_size, sizes.stride,
                      sizes.dilation, sizes.groups, mode, bias, padding.text),
          {{{random.integer(1, 3), sizes.groups * sizes.group_inputs, legal_length}}},
          seed};
}

}  // namespace

LayerCase random_conv1d(uint64_t seed) {
  Random random(seed);
  Sizes sizes;
  sizes.groups = random.pick<int64_t>({1, 1, 1, 2, 3, 8});
  const bool depthwise = random.chance(0.2);
  sizes.group_inputs = depthwise ? 1 : random.integer(1, 9);
  sizes.group_outputs = depthwise ? random.integer(1, 2) : random.integer(1, 11);
  sizes.kernel_size = random.pick<int64_t>({1, 1, 2, 3, 3, 4, 5, 7, 16, 33});
  sizes.stride = random.pick<int64_t>({1, 1, 1, 2, 3, 4, 7});
  sizes.dilation = random.pick<int64_t>({1, 1, 1, 2, 3, 5, 16});
  sizes.length = random.pick<int64_t>({1, 2, 5, 16, 31, 100, 257, 700});
  return complete(sizes, seed, random);
}

LayerCase random_long_conv1d(uint64_t seed) {
  Random random(seed);
  Sizes sizes;
  sizes.groups = random.pick<int64_t>({1, 2, 5});
  sizes.group_inputs = random.pick<int64_t>({1, 1, 1, 2, 3});
  sizes.group_outputs = random.integer(1, 2);
  sizes.kernel_size = random.pick<int64_t>({48, 64, 97, 130, 257, 600});
  sizes.stride = random.pick<int64_t>({1, 1, 1, 2, 5});
  sizes.dilation = random.pick<int64_t>({1, 1, 1, 2, 4});
  sizes.length = random.pick<int64_t>({1, 100, 700, 1500, 2500});
  return complete(sizes, seed, random);
}

LayerCase random_wide_conv1d(uint64_t seed) {
  Random random(seed);
  Sizes sizes;
  sizes.groups = random.pick<int64_t>({1, 1, 1, 2});
  sizes.group_inputs = random.pick<int64_t>({3, 8, 20, 33, 70});
  sizes.group_outputs = random.pick<int64_t>({8, 40, 64, 100, 140});
  sizes.kernel_size = random.pick<int64_t>({1, 2, 3, 5, 9});
  sizes.stride = random.pick<int64_t>({1, 1, 1, 2, 3, 5});
  sizes.dilation = random.pick<int64_t>({1, 1, 2, 40});
  sizes.length = random.pick<int64_t>({60, 131, 256, 515, 1000});
  return complete(sizes, seed, random);
}

LayerCase random_aligned_conv1d(uint64_t seed) {
  Random random(seed);
  Sizes sizes;
  sizes.groups = random.pick<int64_t>({1, 1, 2});
  sizes.group_inputs = random.pick<int64_t>({1, 8, 31, 40, 100});
  sizes.group_outputs = random.pick<int64_t>({5, 64, 70, 128, 200});
  sizes.kernel_size = random.pick<int64_t>({1, 2, 3, 3, 4, 5, 7});
  sizes.stride = 1;
  sizes.dilation = random.pick<int64_t>({1, 1, 2, 3, 8, 40});
  sizes.length = 8 * random.integer(40, 140);
  return complete(sizes, seed, random);
}

LayerCase random_conv_transpose1d(uint64_t seed) {
  Random random(seed);
  const int64_t groups = random.pick<int64_t>({1, 1, 1, 2, 5});
  const int64_t kernel_size = random.pick<int64_t>({1, 2, 3, 4, 7, 16, 31});
  const int64_t stride = random.pick<int64_t>({1, 2, 2, 3, 4, 6, 8});
  const int64_t dilation = random.pick<int64_t>({1, 1, 1, 2, 3, 4, 6});
  const int64_t length = random.pick<int64_t>({1, 2, 9, 40, 130, 500});
  const int64_t full = (length - 1) * stride + dilation * (kernel_size - 1) + 1;
  const int64_t left = random.integer(0, std::min<int64_t>((full - 1) / 2, 20));
  const int64_t right = random.integer(0, std::min<int64_t>((full - 1) / 2, 20));
  return {"ConvTranspose1d",
          fmt::format("{{out_channels: {}, kernel_size: {}, stride: {}, dilation: {}, groups: {}, "
                      "padding: [{}, {}], output_padding: {}, bias: {}}}",
                      groups * random.integer(1, 9), kernel_size, stride, dilation, groups, left,
                      right, random.integer(0, std::max(stride, dilation) - 1), random.chance(0.7)),
          {{{random.integer(1, 3), groups * random.integer(1, 7), length}}},
          seed};
}

ConvCase with_random_epilogue(const LayerCase& layer) {
  Random random(~layer.seed);
  ConvCase conv{layer, {}, random.chance(0.5), {}};
  if (random.chance(0.5)) conv.activation = random.pick(followings());
  if (conv.residual && random.chance(0.5)) conv.residual_activation = random.pick(followings());
  return conv;
}

}  // namespace engine::test
