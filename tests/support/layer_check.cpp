#include "tests/support/layer_check.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "engine/error.h"
#include "engine/layer.h"
#include "tests/support/expectation.h"
#include "tests/support/random.h"
#include "tests/support/run_layer.h"

namespace engine::test {
namespace {

std::string describe(const LayerCase& layer_case) {
  std::string inputs;
  for (const TensorSpec& spec : layer_case.inputs) inputs += " " + to_string(spec);
  return fmt::format("{} {} inputs{} seed {}", layer_case.type, layer_case.attributes, inputs,
                     layer_case.seed);
}

std::unique_ptr<Layer> create(const LayerCase& layer_case) {
  return LayerRegistry::global().create(layer_case.type, Attributes::parse(layer_case.attributes));
}

float draw(const ParameterSpec& spec, Random& random) {
  if (spec.name == "running_var") return static_cast<float>(random.uniform(0.5, 2.0));
  switch (spec.init.kind) {
    case Init::Kind::kUniform:
      return static_cast<float>(random.uniform(-spec.init.value, spec.init.value));
    case Init::Kind::kNormal:
      return static_cast<float>(random.normal() * spec.init.value);
    case Init::Kind::kConstant:
      break;
  }
  return static_cast<float>(spec.init.value + 0.3 * random.normal());
}

Tensor draw_integers(const TensorSpec& spec, int64_t bound, Random& random) {
  Tensor tensor = Tensor::empty(spec.shape, DType::kI64);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.data<int64_t>()[i] = random.integer(0, bound - 1);
  }
  return tensor.to(spec.dtype);
}

Tensor draw_input(const LayerCase& layer_case, const TensorSpec& spec, Random& random) {
  if (!is_floating(spec.dtype)) return draw_integers(spec, layer_case.integer_bound, random);
  const std::vector<float>& values = layer_case.values;
  Tensor tensor = Tensor::empty(spec.shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.data<float>()[i] = values.empty() ? static_cast<float>(random.normal())
                                             : values[static_cast<size_t>(i) % values.size()];
  }
  return tensor;
}

// Makes outputs that are NaN infinite where they should be.
void accept_nan(const Expectation& expected, Tensor& output) {
  for (int64_t i = 0; i < output.elements(); ++i) {
    const double exact = expected.exact.data[static_cast<size_t>(i)];
    float& found = output.data<float>()[i];
    if (std::isinf(exact) && std::isnan(found)) found = static_cast<float>(exact);
  }
}

void check_on(const LayerCase& layer_case, const Target& target) {
  const DType storage = storage_dtype(target.precision);
  const std::unique_ptr<Layer> layer = create(layer_case);
  Random random(layer_case.seed);
  Problem problem{layer_case.type, Attributes::parse(layer_case.attributes), {}, {}};
  for (const TensorSpec& spec : layer_case.inputs) {
    problem.inputs.push_back(
        draw_input(layer_case, spec, random).to(stored(spec, target.precision).dtype));
  }
  problem.parameters = draw_parameters(*layer, layer_case.inputs, storage, random);
  layer->set_parameters(problem.parameters);

  std::vector<Tensor> outputs = run_layer(*layer, problem.inputs, target);
  const std::vector<Expectation> expected = expect(problem, target.precision);
  REQUIRE(outputs.size() == expected.size());
  const bool splits = target.device.is_cuda() && target.precision == Precision::kFp32;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (layer_case.infinite_may_be_nan && splits) accept_nan(expected[i], outputs[i]);
    const std::string wrong = difference(outputs[i], expected[i], target.precision);
    CHECK_MESSAGE(wrong.empty(), "output ", i, ": ", wrong);
  }
  CHECK(layer->flops(layer_case.inputs, layer->infer(layer_case.inputs)) >= 0);
}

}  // namespace

std::map<std::string, Tensor> draw_parameters(const Layer& layer,
                                              const std::vector<TensorSpec>& inputs, DType storage,
                                              Random& random) {
  std::map<std::string, Tensor> parameters;
  for (const ParameterSpec& spec : layer.parameters(inputs)) {
    Tensor tensor = Tensor::empty(spec.shape);
    for (int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = draw(spec, random);
    parameters[spec.name] = tensor.to(storage).to(DType::kF32);
  }
  return parameters;
}

void check_layer(const LayerCase& layer_case) {
  INFO(describe(layer_case));
  for (const Target& target : targets()) {
    INFO("on ", to_string(target));
    try {
      check_on(layer_case, target);
    } catch (const Error& error) {
      FAIL_CHECK("Error: ", error.what());
    }
  }
}

void check_layer_error(const LayerCase& layer_case, const std::string& expected) {
  INFO(describe(layer_case));
  std::string message = "(no error)";
  try {
    create(layer_case)->infer(layer_case.inputs);
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK_MESSAGE(message.find(expected) != std::string::npos, "found '", message, "', expected '",
                expected, "'");
}

}  // namespace engine::test
