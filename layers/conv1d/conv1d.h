// Conv1d, as torch.nn.Conv1d, with the padding modes, `same`, `causal`, and unequal padding.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/layer.h"
#include "layers/conv1d/conv1d_problem.h"

namespace engine {

/// x [N, in_channels, L] -> y [N, out_channels, L'] with
///   L' = floor((L + left + right - dilation (kernel_size - 1) - 1) / stride) + 1.
/// Attributes: out_channels, kernel_size (required); in_channels (checked where given), stride,
/// padding (number, [left, right], same, valid, causal), dilation, groups, bias, padding_mode.
/// Parameters: weight [out_channels, in_channels / groups, kernel_size], bias [out_channels].
class Conv1d : public Layer {
 public:
  explicit Conv1d(const Attributes& attributes);

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override;
  std::vector<ParameterSpec> parameters(const std::vector<TensorSpec>& inputs) const override;
  Step prepare(const PrepareContext& context) const override;
  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>& outputs) const override;
  std::optional<Reach> reach() const override;
  std::unique_ptr<Layer> with_affine(const ChannelAffine& affine,
                                     const TensorSpec& output) const override;
  std::unique_ptr<Layer> with_activation(const Activation& activation) const override;

  /// The sizes and parameters of one run: what kernels are chosen by. Throws what infer() throws.
  Conv1dProblem problem(const TensorSpec& input, Precision precision) const;

 private:
  void check_padding(int64_t length) const;

  int64_t out_channels_;
  std::optional<int64_t> in_channels_;
  int64_t kernel_size_;
  int64_t stride_;
  int64_t pad_left_ = 0;
  int64_t pad_right_ = 0;
  int64_t dilation_;
  int64_t groups_;
  bool bias_;
  PaddingMode padding_mode_;
  Activation activation_;  // fused behind the convolution
};

}  // namespace engine
