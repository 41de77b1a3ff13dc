// BatchNorm1d, and InstanceNorm1d with tracked statistics: a per-channel affine map, as inference
// normalises with the statistics that training left behind.
#include <fmt/format.h>

#include <Eigen/Core>
#include <cmath>

#include "engine/cpu/elementwise_step.h"
#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "layers/norm/batch_norm_launch.h"
#include "layers/norm/norm_layers.h"

namespace engine {
namespace {

using ConstArray = Eigen::Map<const Eigen::ArrayXf>;

// x[begin, end) of a tensor whose channels are runs longer than one element.
void normalise_runs(const ChannelNorm& norm, const float* x, float* y, int64_t begin, int64_t end) {
  while (begin < end) {
    const int64_t run = begin / norm.run;
    const int64_t run_end = std::min(end, (run + 1) * norm.run);
    const int64_t c = run % norm.channels;
    const float mean = norm.mean[c], scale = norm.scale[c], shift = norm.shift[c];
    for (int64_t i = begin; i < run_end; ++i) y[i] = (x[i] - mean) * scale + shift;
    begin = run_end;
  }
}

// x[begin, end) of a tensor with the channels side by side (NC).
void normalise_rows(const ChannelNorm& norm, const float* x, float* y, int64_t begin, int64_t end) {
  while (begin < end) {
    const int64_t c = begin % norm.channels;
    const int64_t size = std::min(norm.channels - c, end - begin);
    Eigen::Map<Eigen::ArrayXf>(y + begin, size) =
        (ConstArray(x + begin, size) - ConstArray(norm.mean + c, size)) *
            ConstArray(norm.scale + c, size) +
        ConstArray(norm.shift + c, size);
    begin += size;
  }
}

// y[begin, end).
void batch_norm_cpu(const ChannelNorm& norm, const float* x, float* y, int64_t begin, int64_t end) {
  if (norm.run == 1) {
    normalise_rows(norm, x, y, begin, end);
  } else {
    normalise_runs(norm, x, y, begin, end);
  }
}

class BatchNorm : public Layer {
 public:
  BatchNorm(const Attributes& attributes, bool affine_by_default)
      : num_features_(attributes.optional_positive("num_features")),
        eps_(attributes.number("eps", 1e-5)),
        affine_(attributes.boolean("affine", affine_by_default)) {
    attributes.allow({"momentum"});
  }

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    expect_floating_point(inputs[0]);
    expect_channels(inputs[0], num_features_, "num_features");
    return inputs;
  }

  std::vector<ParameterSpec> parameters(const std::vector<TensorSpec>& inputs) const override {
    const Shape channels = {inputs[0].shape[1]};
    std::vector<ParameterSpec> specs;
    if (affine_) {
      specs.push_back({"weight", channels, Init::constant(1.0)});
      specs.push_back({"bias", channels, Init::constant(0.0)});
    }
    specs.push_back({"running_mean", channels, Init::constant(0.0)});
    specs.push_back({"running_var", channels, Init::constant(1.0)});
    return specs;
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec spec = context.inputs[0];
    const Tensor mean = context.parameter("running_mean");
    const Tensor scale = context.weight("scale", [&] { return to_tensor(scales()); });
    const Tensor shift = context.weight("shift", [&] { return to_tensor(biases()); });
    // The step keeps the tensors alive that its pointers point into.
    const auto norm = [=] {
      const int64_t channels = spec.shape[1];
      return ChannelNorm{spec.elements(),
                         spec.elements() / spec.shape[0] / channels,
                         channels,
                         static_cast<const float*>(mean.raw()),
                         static_cast<const float*>(scale.raw()),
                         static_cast<const float*>(shift.raw())};
    };
    if (context.device.is_cuda()) {
      return {"batch_norm_cuda", "", 0, [=](const StepContext& c) {
                if constexpr (kWithCuda) {
                  channel_norm_cuda(norm(), c.inputs[0], c.outputs[0], spec.dtype, c.stream);
                }
              }};
    }
    return cpu::elementwise_step("batch_norm_cpu", spec.elements(),
                                 static_cast<double>(spec.elements()) * cpu::kElementSeconds, 0,
                                 [=](const StepContext& c, int64_t begin, int64_t end) {
                                   batch_norm_cpu(norm(), c.input<float>(), c.output<float>(),
                                                  begin, end);
                                 });
  }

  bool is_elementwise() const override { return true; }

  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>&) const override {
    return 2 * inputs[0].elements();
  }

  std::optional<ChannelAffine> as_channel_affine() const override {
    ChannelAffine affine{scales(), biases()};
    const float* mean = parameter("running_mean").data<float>();
    for (size_t c = 0; c < affine.scale.size(); ++c) affine.shift[c] -= mean[c] * affine.scale[c];
    return affine;
  }

 private:
  // weight / sqrt(running_var + eps)
  std::vector<double> scales() const {
    const Tensor& variance = parameter("running_var");
    std::vector<double> scale(static_cast<size_t>(variance.elements()));
    for (size_t c = 0; c < scale.size(); ++c) {
      scale[c] = 1.0 / std::sqrt(variance.data<float>()[c] + eps_);
      if (affine_) scale[c] *= parameter("weight").data<float>()[c];
    }
    return scale;
  }

  std::vector<double> biases() const {
    const size_t channels = static_cast<size_t>(parameter("running_var").elements());
    if (!affine_) return std::vector<double>(channels, 0.0);
    const float* bias = parameter("bias").data<float>();
    return std::vector<double>(bias, bias + channels);
  }

  static Tensor to_tensor(const std::vector<double>& values) {
    Tensor tensor = Tensor::empty({static_cast<int64_t>(values.size())});
    std::copy(values.begin(), values.end(), tensor.data<float>());
    return tensor;
  }

  std::optional<int64_t> num_features_;
  double eps_;
  bool affine_;
};

}  // namespace

void expect_channels(const TensorSpec& spec, std::optional<int64_t> channels, const char* key) {
  if (spec.shape.size() != 2 && spec.shape.size() != 3) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("expected an input of 2 or 3 dimensions (NC or NCL), found {}",
                            to_string(spec.shape)));
  }
  if (!channels || spec.shape[1] == *channels) return;
  throw Error(ErrorKind::kInvalidArgument,
              fmt::format("expected {} channels ({}), found {} in {}", *channels, key,
                          spec.shape[1], to_string(spec.shape)));
}

std::unique_ptr<Layer> make_batch_norm(const Attributes& attributes) {
  if (!attributes.boolean("track_running_stats", true)) {
    attributes.fail("track_running_stats",
                    "BatchNorm1d normalises with running_mean and running_var; train with "
                    "track_running_stats: true");
  }
  return std::make_unique<BatchNorm>(attributes, true);
}

std::unique_ptr<Layer> make_tracked_instance_norm(const Attributes& attributes) {
  return std::make_unique<BatchNorm>(attributes, false);
}

}  // namespace engine
