// Conv1d, as torch.nn.Conv1d, with the padding modes, `same`, `causal`, and unequal padding.
#pragma once

#include <cstdint>
#include <memory>

#include "layers/conv1d/conv_layer.h"

namespace engine {

/// x [N, in_channels, L] -> y [N, out_channels, L'] with
///   L' = floor((L + left + right - dilation (kernel_size - 1) - 1) / stride) + 1.
/// Attributes: out_channels, kernel_size (required); in_channels (checked where given), stride,
/// padding (number, [left, right], same, valid, causal), dilation, groups, bias, padding_mode.
/// Parameters: weight [out_channels, in_channels / groups, kernel_size], bias [out_channels].
class Conv1d : public ConvLayer {
 public:
  explicit Conv1d(const Attributes& attributes);

 private:
  int64_t out_length(int64_t length) const override;
  std::unique_ptr<ConvLayer> copy() const override { return std::make_unique<Conv1d>(*this); }
  void check_padding(int64_t length) const;
};

}  // namespace engine
