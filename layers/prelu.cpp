// PReLU: a leaky ReLU whose slope is learned, one for all channels or one for each.
#include <fmt/format.h>

#include <algorithm>

#include "engine/cpu/elementwise_step.h"
#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "engine/layer.h"
#include "layers/activation/activation_cpu.h"
#include "layers/prelu_launch.h"

namespace engine {
namespace {

// In runs so short the choice of the vector code costs more than it saves.
constexpr int64_t kShortRun = 8;

// y[begin, end).
void prelu_cpu(const PReLUProblem& p, const float* slopes, const float* x, float* y, int64_t begin,
               int64_t end) {
  while (begin < end) {
    const int64_t run = begin / p.run;
    const int64_t run_end = std::min(end, (run + 1) * p.run);
    const float slope = slopes[run % p.channels];
    if (p.run < kShortRun) {
      for (int64_t i = begin; i < run_end; ++i) y[i] = x[i] < 0.0f ? slope * x[i] : x[i];
    } else {
      cpu::activate({Activation::Kind::kLeakyReLU, slope}, x + begin, y + begin, run_end - begin);
    }
    begin = run_end;
  }
}

class PReLU : public Layer {
 public:
  explicit PReLU(const Attributes& attributes)
      : num_parameters_(attributes.positive("num_parameters", 1)),
        init_(attributes.number("init", 0.25)) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    expect_floating_point(inputs[0]);
    const Shape& shape = inputs[0].shape;
    if (num_parameters_ != 1 && (shape.size() < 2 || shape[1] != num_parameters_)) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected {} channels (num_parameters) in dimension 1, found {}",
                              num_parameters_, to_string(shape)));
    }
    return inputs;
  }

  std::vector<ParameterSpec> parameters(const std::vector<TensorSpec>&) const override {
    return {{"weight", {num_parameters_}, Init::constant(init_)}};
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec spec = context.inputs[0];
    const Tensor weight = context.parameter("weight");
    const int64_t count = spec.elements();
    const int64_t run = num_parameters_ == 1 ? count : count / spec.shape[0] / num_parameters_;
    const PReLUProblem p{count, run, num_parameters_};
    if (context.device.is_cuda()) {
      return {"prelu_cuda", "", 0, [=](const StepContext& c) {
                if constexpr (kWithCuda) {
                  prelu_cuda(p, static_cast<const float*>(weight.raw()), c.inputs[0], c.outputs[0],
                             spec.dtype, c.stream);
                }
              }};
    }
    return cpu::elementwise_step(
        "prelu_cpu", count, static_cast<double>(count) * cpu::kElementSeconds, 0,
        [=](const StepContext& c, int64_t begin, int64_t end) {
          prelu_cpu(p, weight.data<float>(), c.input<float>(), c.output<float>(), begin, end);
        });
  }

  bool is_elementwise() const override { return true; }

  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>&) const override {
    return inputs[0].elements();
  }

 private:
  int64_t num_parameters_;
  double init_;
};

}  // namespace

void register_prelu(LayerRegistry& registry) { registry.add<PReLU>("PReLU"); }

}  // namespace engine
