// ReLU, LeakyReLU, ELU, GELU, SiLU, Sigmoid, Tanh and Softplus: one layer around
// engine::Activation.
#include "engine/activation.h"

#include "engine/cpu/elementwise_step.h"
#include "engine/cuda/runtime.h"
#include "engine/layer.h"
#include "layers/activation/activation_cpu.h"
#include "layers/activation/activation_launch.h"

namespace engine {
namespace {

class ActivationLayer : public Layer {
 public:
  explicit ActivationLayer(Activation activation) : activation_(activation) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    return inputs;
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec spec = context.inputs[0];
    const int64_t count = spec.elements();
    const Activation activation = activation_;
    if (context.device.is_cuda()) {
      return {"activation_cuda", "", 0, [=](const StepContext& c) {
                if constexpr (kWithCuda) {
                  activation_cuda(activation, c.inputs[0], c.outputs[0], count, spec.dtype,
                                  c.stream);
                }
              }};
    }
    return cpu::elementwise_step("activation_cpu", count,
                                 static_cast<double>(count) * cpu::activation_seconds(activation),
                                 0, [=](const StepContext& c, int64_t begin, int64_t end) {
                                   cpu::activate(activation, c.input<float>() + begin,
                                                 c.output<float>() + begin, end - begin);
                                 });
  }

  bool is_elementwise() const override { return true; }

  std::optional<Activation> as_activation() const override { return activation_; }

 private:
  Activation activation_;
};

}  // namespace

const char* to_string(Activation::Kind kind) {
  using Kind = Activation::Kind;
  switch (kind) {
    case Kind::kIdentity:
      return "Identity";
    case Kind::kReLU:
      return "ReLU";
    case Kind::kLeakyReLU:
      return "LeakyReLU";
    case Kind::kELU:
      return "ELU";
    case Kind::kGELU:
      return "GELU";
    case Kind::kGELUTanh:
      return "GELU(tanh)";
    case Kind::kSiLU:
      return "SiLU";
    case Kind::kSigmoid:
      return "Sigmoid";
    case Kind::kTanh:
      return "Tanh";
    case Kind::kSoftplus:
      return "Softplus";
  }
  return "?";
}

void register_activations(LayerRegistry& registry) {
  using Kind = Activation::Kind;
  const auto add = [&](const char* type, auto read) {
    registry.add(type, [read](const Attributes& attributes) -> std::unique_ptr<Layer> {
      return std::make_unique<ActivationLayer>(read(attributes));
    });
  };
  const auto plain = [&](const char* type, Kind kind) {
    add(type, [kind](const Attributes&) { return Activation{kind}; });
  };
  plain("ReLU", Kind::kReLU);
  plain("SiLU", Kind::kSiLU);
  plain("Sigmoid", Kind::kSigmoid);
  plain("Tanh", Kind::kTanh);
  add("LeakyReLU", [](const Attributes& a) {
    return Activation{Kind::kLeakyReLU, static_cast<float>(a.number("negative_slope", 0.01))};
  });
  add("ELU", [](const Attributes& a) {
    return Activation{Kind::kELU, static_cast<float>(a.number("alpha", 1.0))};
  });
  add("GELU", [](const Attributes& a) {
    const bool tanh = a.choice("approximate", {"none", "tanh"}, "none") == "tanh";
    return Activation{tanh ? Kind::kGELUTanh : Kind::kGELU};
  });
  add("Softplus", [](const Attributes& a) {
    return Activation{Kind::kSoftplus, static_cast<float>(a.number("beta", 1.0)),
                      static_cast<float>(a.number("threshold", 20.0))};
  });
}

}  // namespace engine
