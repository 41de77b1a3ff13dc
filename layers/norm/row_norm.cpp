// LayerNorm, GroupNorm and InstanceNorm1d: three shapes of one problem.
#include <fmt/format.h>

#include <algorithm>

#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "layers/norm/norm_layers.h"
#include "layers/norm/row_norm_problem.h"
#include "layers/reduce/reduce_plan.h"

namespace engine {
namespace {

std::string reason(const RowNormProblem& p, Device device, DType dtype) {
  if (device.is_cuda() && row_fits_registers(p.length, dtype)) {
    return fmt::format("{} rows of {} stay in registers", p.rows, p.length);
  }
  return fmt::format("{} rows of {} in {} pieces each", p.rows, p.length, chunks_of(p.length));
}

/// Everything but the shapes: what the three layers share.
class RowNorm : public Layer {
 public:
  RowNorm(const char* kernel, double eps, bool has_weight, bool has_bias)
      : kernel_(kernel), eps_(eps), has_weight_(has_weight), has_bias_(has_bias) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    expect_floating_point(inputs[0]);
    check(inputs[0]);
    return inputs;
  }

  std::vector<ParameterSpec> parameters(const std::vector<TensorSpec>& inputs) const override {
    std::vector<ParameterSpec> specs;
    const Shape shape = parameter_shape(inputs[0]);
    if (has_weight_) specs.push_back({"weight", shape, Init::constant(1.0)});
    if (has_bias_) specs.push_back({"bias", shape, Init::constant(0.0)});
    return specs;
  }

  Step prepare(const PrepareContext& context) const override {
    const DType dtype = context.inputs[0].dtype;
    RowNormProblem p = problem(context.inputs[0]);
    p.eps = eps_;
    const Tensor weight = has_weight_ ? context.parameter("weight") : Tensor();
    const Tensor bias = has_bias_ ? context.parameter("bias") : Tensor();
    const auto buffers = [weight, bias](const StepContext& c) {
      return RowNormBuffers{c.inputs[0], c.outputs[0], static_cast<const float*>(weight.raw()),
                            static_cast<const float*>(bias.raw()), c.workspace};
    };
    const bool on_gpu = context.device.is_cuda();
    Step step{fmt::format("{}_{}", kernel_, on_gpu ? "cuda" : "cpu"),
              reason(p, context.device, dtype),
              row_norm_workspace(p, context.device, dtype),
              {}};
    if (on_gpu) {
      step.enqueue = [=](const StepContext& c) {
        if constexpr (kWithCuda) row_norm_cuda(p, buffers(c), dtype, c.stream);
      };
    } else {
      step.enqueue = [=](const StepContext& c) { row_norm_cpu(p, buffers(c), *c.threads); };
    }
    return step;
  }

  /// Three for the mean and the variance, two to normalise, two for weight and bias.
  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>&) const override {
    return (5 + int64_t{has_weight_} + int64_t{has_bias_}) * inputs[0].elements();
  }

  std::optional<Reach> reach() const override { return std::nullopt; }

 protected:
  virtual void check(const TensorSpec& spec) const = 0;
  virtual Shape parameter_shape(const TensorSpec& spec) const = 0;
  virtual RowNormProblem problem(const TensorSpec& spec) const = 0;

 private:
  const char* kernel_;
  double eps_;
  bool has_weight_;
  bool has_bias_;
};

class LayerNorm : public RowNorm {
 public:
  explicit LayerNorm(const Attributes& attributes)
      : RowNorm("layer_norm", attributes.number("eps", 1e-5),
                attributes.boolean("elementwise_affine", true),
                attributes.boolean("bias", true) && attributes.boolean("elementwise_affine", true)),
        normalized_shape_(attributes.integers("normalized_shape")) {
    if (normalized_shape_.empty() || std::any_of(normalized_shape_.begin(), normalized_shape_.end(),
                                                 [](int64_t size) { return size < 1; })) {
      attributes.fail("normalized_shape", "expected sizes of at least 1");
    }
  }

 protected:
  void check(const TensorSpec& spec) const override {
    if (spec.shape.size() >= normalized_shape_.size() &&
        std::equal(normalized_shape_.rbegin(), normalized_shape_.rend(), spec.shape.rbegin())) {
      return;
    }
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("expected an input that ends in the normalized_shape {}, found {}",
                            to_string(normalized_shape_), to_string(spec.shape)));
  }
  Shape parameter_shape(const TensorSpec&) const override { return normalized_shape_; }
  RowNormProblem problem(const TensorSpec& spec) const override {
    RowNormProblem p;
    p.length = element_count(normalized_shape_);
    p.rows = spec.elements() / p.length;
    p.by_position = true;
    return p;
  }

 private:
  Shape normalized_shape_;
};

// GroupNorm, and InstanceNorm1d as a group for each channel.
RowNormProblem group_problem(const TensorSpec& spec, int64_t groups) {
  RowNormProblem p;
  p.channels = spec.shape[1];
  p.run = spec.elements() / spec.shape[0] / p.channels;
  p.rows = spec.shape[0] * groups;
  p.length = p.channels / groups * p.run;
  return p;
}

class GroupNorm : public RowNorm {
 public:
  explicit GroupNorm(const Attributes& attributes)
      : RowNorm("group_norm", attributes.number("eps", 1e-5), attributes.boolean("affine", true),
                attributes.boolean("affine", true)),
        num_groups_(attributes.positive("num_groups")),
        num_channels_(attributes.optional_positive("num_channels")) {
    if (num_channels_ && *num_channels_ % num_groups_ != 0) {
      attributes.fail("num_channels", fmt::format("expected a multiple of num_groups {}, found {}",
                                                  num_groups_, *num_channels_));
    }
  }

 protected:
  void check(const TensorSpec& spec) const override {
    if (spec.shape.size() < 2) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected an input of at least 2 dimensions (NC or NCL), found {}",
                              to_string(spec.shape)));
    }
    const int64_t channels = spec.shape[1];
    if (num_channels_ && channels != *num_channels_) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected {} channels (num_channels), found {} in {}", *num_channels_,
                              channels, to_string(spec.shape)));
    }
    if (channels % num_groups_ != 0) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected a number of channels that num_groups {} divides, found {} "
                              "in {}",
                              num_groups_, channels, to_string(spec.shape)));
    }
  }
  Shape parameter_shape(const TensorSpec& spec) const override { return {spec.shape[1]}; }
  RowNormProblem problem(const TensorSpec& spec) const override {
    return group_problem(spec, num_groups_);
  }

 private:
  int64_t num_groups_;
  std::optional<int64_t> num_channels_;
};

class InstanceNorm : public RowNorm {
 public:
  explicit InstanceNorm(const Attributes& attributes)
      : RowNorm("instance_norm", attributes.number("eps", 1e-5),
                attributes.boolean("affine", false), attributes.boolean("affine", false)),
        num_features_(attributes.optional_positive("num_features")) {
    attributes.allow({"momentum"});
  }

 protected:
  void check(const TensorSpec& spec) const override {
    expect_rank(spec, 3, "NCL");
    expect_channels(spec, num_features_, "num_features");
  }
  Shape parameter_shape(const TensorSpec& spec) const override { return {spec.shape[1]}; }
  RowNormProblem problem(const TensorSpec& spec) const override {
    return group_problem(spec, spec.shape[1]);
  }

 private:
  std::optional<int64_t> num_features_;
};

}  // namespace

std::unique_ptr<Layer> make_layer_norm(const Attributes& attributes) {
  return std::make_unique<LayerNorm>(attributes);
}

std::unique_ptr<Layer> make_group_norm(const Attributes& attributes) {
  return std::make_unique<GroupNorm>(attributes);
}

std::unique_ptr<Layer> make_instance_norm(const Attributes& attributes) {
  if (attributes.boolean("track_running_stats", false)) {
    return make_tracked_instance_norm(attributes);
  }
  return std::make_unique<InstanceNorm>(attributes);
}

}  // namespace engine
