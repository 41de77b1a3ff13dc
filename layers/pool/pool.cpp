// MaxPool1d, AvgPool1d, AdaptiveAvgPool1d and AdaptiveMaxPool1d.
#include <fmt/format.h>

#include <algorithm>

#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "engine/layer.h"
#include "layers/pool/pool_problem.h"

namespace engine {
namespace {

/// Everything but the output's length: what the four layers share.
class Pool : public Layer {
 public:
  Pool(const char* kernel, const PoolProblem& parameters)
      : parameters_(parameters), kernel_(kernel) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    expect_floating_point(inputs[0]);
    if (inputs[0].shape.size() != 2 && inputs[0].shape.size() != 3) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected an input of 2 or 3 dimensions (CL or NCL), found {}",
                              to_string(inputs[0].shape)));
    }
    TensorSpec output = inputs[0];
    output.shape.back() = output_length(inputs[0].shape.back());
    return {output};
  }

  Step prepare(const PrepareContext& context) const override {
    const DType dtype = context.inputs[0].dtype;
    PoolProblem p = parameters_;
    p.length = context.inputs[0].shape.back();
    p.rows = context.inputs[0].elements() / p.length;
    p.outputs = context.outputs[0].shape.back();
    const int64_t workspace = pool_workspace(p, context.device);
    const char* windows = p.has_long_windows() ? "segments" : "windows";
    const std::string reason = fmt::format("windows of up to {}", p.longest_window());
    if (context.device.is_cuda()) {
      return {fmt::format("{}_{}_cuda", kernel_, windows), reason, workspace,
              [=](const StepContext& c) {
                if constexpr (kWithCuda) {
                  pool_cuda(p, c.inputs[0], c.outputs[0], c.workspace, dtype, c.stream);
                }
              }};
    }
    return {fmt::format("{}_{}_cpu", kernel_, windows), reason, workspace,
            [=](const StepContext& c) {
              pool_cpu(p, c.input<float>(), c.output<float>(), c.workspace, *c.threads);
            }};
  }

 protected:
  virtual int64_t output_length(int64_t length) const = 0;

  PoolProblem parameters_;

 private:
  const char* kernel_;
};

class WindowPool : public Pool {
 public:
  WindowPool(const char* kernel, const PoolProblem& parameters, bool ceil_mode)
      : Pool(kernel, parameters), ceil_mode_(ceil_mode) {}

  int64_t flops(const std::vector<TensorSpec>&,
                const std::vector<TensorSpec>& outputs) const override {
    return outputs[0].elements() * parameters_.kernel_size;
  }

  std::optional<Reach> reach() const override {
    return Reach{span(), static_cast<double>(parameters_.stride)};
  }

 protected:
  int64_t output_length(int64_t length) const override {
    const PoolProblem& p = parameters_;
    const int64_t room = length + 2 * p.padding - span() + (ceil_mode_ ? p.stride - 1 : 0);
    if (room >= 0) {
      const int64_t last = room / p.stride;
      // With ceil_mode a last window that is cut off counts, unless it starts in the right padding.
      return ceil_mode_ && last * p.stride >= length + p.padding ? last : last + 1;
    }
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("expected an input at least as long as a window, {} (kernel_size {}, "
                            "dilation {}); found length {} with padding {}",
                            span(), p.kernel_size, p.dilation, length, p.padding));
  }

 private:
  int64_t span() const { return (parameters_.kernel_size - 1) * parameters_.dilation + 1; }

  bool ceil_mode_;
};

class AdaptivePool : public Pool {
 public:
  AdaptivePool(const char* kernel, const PoolProblem& parameters, int64_t output_size)
      : Pool(kernel, parameters), output_size_(output_size) {}

  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>& outputs) const override {
    return std::max(inputs[0].elements(), outputs[0].elements());
  }

  std::optional<Reach> reach() const override { return std::nullopt; }

 protected:
  int64_t output_length(int64_t) const override { return output_size_; }

 private:
  int64_t output_size_;
};

std::unique_ptr<Layer> make_window_pool(const Attributes& attributes, bool average) {
  PoolProblem p;
  p.average = average;
  p.kernel_size = attributes.positive("kernel_size");
  p.stride = attributes.positive("stride", p.kernel_size);
  p.padding = attributes.non_negative("padding", 0);
  if (average) {
    p.count_include_pad = attributes.boolean("count_include_pad", true);
  } else {
    p.dilation = attributes.positive("dilation", 1);
  }
  if (p.padding > p.kernel_size / 2) {
    attributes.fail("padding", fmt::format("expected a padding of at most half the kernel_size {}, "
                                           "found {}",
                                           p.kernel_size, p.padding));
  }
  return std::make_unique<WindowPool>(average ? "avg_pool" : "max_pool", p,
                                      attributes.boolean("ceil_mode", false));
}

std::unique_ptr<Layer> make_adaptive_pool(const Attributes& attributes, bool average) {
  PoolProblem p;
  p.average = average;
  p.adaptive = true;
  return std::make_unique<AdaptivePool>(average ? "adaptive_avg_pool" : "adaptive_max_pool", p,
                                        attributes.positive("output_size"));
}

}  // namespace

void register_pools(LayerRegistry& registry) {
  registry.add("MaxPool1d", [](const Attributes& a) { return make_window_pool(a, false); });
  registry.add("AvgPool1d", [](const Attributes& a) { return make_window_pool(a, true); });
  registry.add("AdaptiveMaxPool1d",
               [](const Attributes& a) { return make_adaptive_pool(a, false); });
  registry.add("AdaptiveAvgPool1d",
               [](const Attributes& a) { return make_adaptive_pool(a, true); });
}

}  // namespace engine
