#include "apps/engine/reference_run.h"

#include <doctest/doctest.h>

#include "engine/engine_state.h"
#include "tests/support/models.h"

namespace {

using namespace engine;

// A layer of a user's own, which the reference does not know: y = x + 1.
class AddOne : public Layer {
 public:
  explicit AddOne(const Attributes&) {}
  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    return inputs;
  }
  Step prepare(const PrepareContext& context) const override {
    const int64_t count = context.inputs[0].elements();
    return {"add_one", "", 0, [count](const StepContext& c) {
              for (int64_t i = 0; i < count; ++i) c.output<float>()[i] = c.input<float>()[i] + 1;
            }};
  }
};

constexpr const char* kModel = R"(
format: 1
name: mixed
inputs:
  x: {dtype: f32, shape: [length]}
sizes: {length: 2}
layers:
  - {name: relu, type: ReLU}
  - {name: own, type: TestAddOne}
  - {name: sum, type: Add, inputs: [own, relu]}
outputs: {relu: relu, own: own, sum: sum}
)";

}  // namespace

TEST_CASE("run_reference: a layer that it does not know passes on the CPU's result, marked so") {
  LayerRegistry& registry = LayerRegistry::global();
  if (!registry.contains("TestAddOne")) registry.add<AddOne>("TestAddOne");
  const ModelSpec spec = parse_model(kModel, "test.yaml");
  EngineOptions options = test::on_cpu();
  options.fuse = false;
  const Engine engine = Engine::from_spec(spec, options);
  const Graph& graph = engine.state()->graph;

  float x[] = {-1.0f, 2.0f};
  const std::vector<Tensor> inputs{Tensor::wrap(x, {2})};
  const std::vector<Tensor> outputs = engine.run(inputs);
  std::vector<Tensor> cpu_values(graph.values.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    cpu_values[static_cast<size_t>(graph.outputs[i].value)] = outputs[i];
  }
  cli::Progress progress("test");
  const auto values = cli::run_reference(graph, spec, inputs, cpu_values, progress);
  const auto value_of = [&](size_t output) {
    return values[static_cast<size_t>(graph.outputs[output].value)];
  };
  CHECK(value_of(0).is_known);
  CHECK(value_of(0).data == std::vector<double>{0, 2});
  CHECK_FALSE(value_of(1).is_known);
  CHECK(value_of(1).data == std::vector<double>{1, 3});
  CHECK(value_of(2).is_known);
  CHECK(value_of(2).data == std::vector<double>{1, 5});
}
