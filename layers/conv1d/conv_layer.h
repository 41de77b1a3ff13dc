// What Conv1d and ConvTranspose1d share: all but their padding and their output length.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/layer.h"
#include "layers/conv1d/conv1d_problem.h"

namespace engine {

/// x [N, in_channels, L] -> y [N, out_channels, L'], computed by a kernel of the table
/// (conv1d_select.h). With a residual fused into it, the layer has that as its second input.
class ConvLayer : public Layer {
 public:
  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override;
  std::vector<ParameterSpec> parameters(const std::vector<TensorSpec>& inputs) const override;
  Step prepare(const PrepareContext& context) const override;
  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>& outputs) const override;
  std::optional<Reach> reach() const override;
  std::unique_ptr<Layer> with_affine(const ChannelAffine& affine,
                                     const TensorSpec& output) const override;
  std::unique_ptr<Layer> with_activation(const Activation& activation) const override;
  std::unique_ptr<Layer> with_residual() const override;

  /// The sizes and parameters of one run: what kernels are chosen by. Throws what infer() throws.
  Conv1dProblem problem(const TensorSpec& input, Precision precision) const;

 protected:
  /// Reads the attributes that both layers have; padding and padding_mode are left to them.
  ConvLayer(const Attributes& attributes, bool transposed);

  /// Outputs for that many inputs; throws Error(kInvalidArgument) where there are none.
  virtual int64_t out_length(int64_t length) const = 0;
  virtual std::unique_ptr<ConvLayer> copy() const = 0;

  Conv1dProblem fixed_;  ///< as far as the attributes and what is fused decide it
  int64_t span_;         ///< from the first tap to the last: dilation (kernel_size - 1)

 private:
  std::optional<int64_t> in_channels_;
};

}  // namespace engine
