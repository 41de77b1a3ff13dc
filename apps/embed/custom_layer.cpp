// Adds a layer of its own to the engine and runs a model that uses it.
// usage: custom_layer MODEL.yaml, e.g. custom_layer.yaml beside this file
//
// The layer is Snake, y = x + sin(alpha[c] x)^2 / alpha[c], with one trained alpha a channel
// (https://arxiv.org/abs/2006.08195).
#include <engine/engine.h>

#include <cmath>
#include <cstdio>

namespace {

using engine::Tensor;
using engine::TensorSpec;

class Snake : public engine::Layer {
 public:
  explicit Snake(const engine::Attributes&) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    engine::expect_inputs(inputs, 1);
    engine::expect_rank(inputs[0], 3, "NCL");
    return inputs;
  }

  std::vector<engine::ParameterSpec> parameters(
      const std::vector<TensorSpec>& inputs) const override {
    return {{"alpha", {inputs[0].shape[1]}, engine::Init::constant(1.0)}};
  }

  engine::Step prepare(const engine::PrepareContext& context) const override {
    if (context.device.is_cuda()) {
      throw engine::Error(engine::ErrorKind::kUnsupported, "Snake runs on the CPU only");
    }
    const engine::Shape shape = context.inputs[0].shape;
    const Tensor alpha = context.parameter("alpha");
    return {"snake_cpu", "", 0, [=](const engine::StepContext& c) {
              const float* x = c.input<float>();
              float* y = c.output<float>();
              for (int64_t row = 0; row < shape[0] * shape[1]; ++row) {
                const float a = alpha.data<float>()[row % shape[1]];
                for (int64_t i = row * shape[2]; i < (row + 1) * shape[2]; ++i) {
                  y[i] = x[i] + std::sin(a * x[i]) * std::sin(a * x[i]) / a;
                }
              }
            }};
  }
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: custom_layer MODEL.yaml\n");
    return 2;
  }
  engine::LayerRegistry::global().add<Snake>("Snake");
  engine::EngineOptions options;
  options.device = engine::Device::cpu();
  const auto model = engine::Engine::load(argv[1], options);

  float samples[] = {-1.0f, 0.0f, 0.5f, 1.0f};
  const Tensor output = model.run({Tensor::wrap(samples, {1, 1, 4})}).front();
  for (int64_t i = 0; i < output.elements(); ++i) {
    std::printf("snake(%g) = %.6f\n", samples[i], output.data<float>()[i]);
  }
  return 0;
} catch (const engine::Error& error) {
  std::fprintf(stderr, "custom_layer: %s\n", error.what());
  return 1;
}
