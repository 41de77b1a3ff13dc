// The reference and the layers against PyTorch's own results; tests/golden/make_golden.py makes
// them.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/layer.h"
#include "tests/reference/reference.h"
#include "tests/support/expect_error.h"
#include "tests/support/paths.h"
#include "tests/support/run_layer.h"

namespace engine::test {
namespace {

using Json = nlohmann::json;
using reference::Value;

// JSON has no NaN and no infinity; they are written as "nan", "inf" and "-inf".
double to_number(const Json& json) {
  return json.is_string() ? std::stod(json.get<std::string>()) : json.get<double>();
}

Value<double> to_value(const Json& json) {
  Value<double> value{json.at("shape").get<Shape>(), {}};
  for (const Json& element : json.at("data")) value.data.push_back(to_number(element));
  return value;
}

Tensor to_tensor(const Json& json, bool integers) {
  const Value<double> value = to_value(json);
  Tensor tensor = Tensor::empty(value.shape, integers ? DType::kI64 : DType::kF32);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const double element = value.data.at(static_cast<size_t>(i));
    if (integers) {
      tensor.data<int64_t>()[i] = static_cast<int64_t>(element);
    } else {
      tensor.data<float>()[i] = static_cast<float>(element);
    }
  }
  return tensor;
}

Json golden_cases() {
  std::ifstream file(source_path("tests/golden/golden.json"));
  return Json::parse(file);
}

std::string type_of(const Json& golden) { return golden.at("type").get<std::string>(); }

// A JSON object is a YAML flow map too.
Attributes attributes_of(const Json& golden) {
  return Attributes::parse(golden.at("attributes").dump());
}

bool close(double found, double expected, double relative, double absolute) {
  if (std::isnan(expected)) return std::isnan(found);
  if (std::isinf(expected)) return found == expected;
  return std::abs(found - expected) <= relative * std::abs(expected) + absolute;
}

// Compares element by element; `at(i)` gives the found ones.
template <typename At>
void check_elements(const Shape& shape, At at, const Json& json, double relative, double absolute) {
  const Value<double> expected = to_value(json);
  CHECK(engine::to_string(shape) == engine::to_string(expected.shape));
  if (shape != expected.shape) return;
  for (size_t i = 0; i < expected.data.size(); ++i) {
    if (close(at(i), expected.data[i], relative, absolute)) continue;
    FAIL_CHECK(fmt::format("element {}: found {}, expected {}", i, at(i), expected.data[i]));
  }
}

void check_reference(const Json& golden) {
  reference::Parameters<double> parameters;
  for (const auto& [name, json] : golden.at("parameters").items()) {
    parameters[name] = to_value(json);
  }
  std::vector<Value<double>> inputs;
  for (const Json& json : golden.at("inputs")) inputs.push_back(to_value(json));
  const auto outputs =
      reference::evaluate(type_of(golden), attributes_of(golden), parameters, inputs);
  REQUIRE(outputs.size() == golden.at("outputs").size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    // The file holds ten digits.
    check_elements(
        outputs[i].shape, [&](size_t k) { return outputs[i].data[k]; }, golden.at("outputs")[i],
        1e-9, 1e-12);
  }
}

void check_layer_parameters(const Layer& layer, const std::vector<Tensor>& inputs,
                            const std::map<std::string, Tensor>& parameters) {
  std::vector<TensorSpec> specs;
  for (const Tensor& input : inputs) specs.push_back(input.spec());
  std::map<std::string, Shape> wanted, given;
  for (const ParameterSpec& spec : layer.parameters(specs)) wanted[spec.name] = spec.shape;
  for (const auto& [name, tensor] : parameters) given[name] = tensor.shape();
  CHECK_MESSAGE(wanted == given, "the parameters are not those of PyTorch's state_dict");
}

void check_layer_on(const Json& golden, const Target& target) {
  const auto layer = LayerRegistry::global().create(type_of(golden), attributes_of(golden));
  std::vector<Tensor> inputs;
  for (const Json& json : golden.at("inputs")) {
    inputs.push_back(to_tensor(json, type_of(golden) == "Embedding"));
  }
  std::map<std::string, Tensor> parameters;
  for (const auto& [name, json] : golden.at("parameters").items()) {
    parameters[name] = to_tensor(json, false);
  }
  check_layer_parameters(*layer, inputs, parameters);
  layer->set_parameters(parameters);
  const std::vector<Tensor> outputs = run_layer(*layer, inputs, target);
  REQUIRE(outputs.size() == golden.at("outputs").size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    // Some hundred roundings of fp32 at values around 1; derived bounds are check_layer's business.
    check_elements(
        outputs[i].shape(), [&](size_t k) { return outputs[i].data<float>()[k]; },
        golden.at("outputs")[i], 1e-5, 1e-5);
  }
}

TEST_CASE("the reference gives what PyTorch gives") {
  for (const Json& golden : golden_cases()) {
    INFO(type_of(golden), " ", golden.at("attributes").dump());
    CHECK_NOTHROW(check_reference(golden));
  }
}

TEST_CASE("the layers give what PyTorch gives, in fp32") {
  for (const Target& target : targets()) {
    if (target.precision != Precision::kFp32) continue;
    for (const Json& golden : golden_cases()) {
      INFO(type_of(golden), " ", golden.at("attributes").dump(), " on ", to_string(target));
      CHECK_NOTHROW(check_layer_on(golden, target));
    }
  }
}

TEST_CASE("every layer type has a reference and results of PyTorch") {
  std::set<std::string> golden_types;
  for (const Json& golden : golden_cases()) golden_types.insert(type_of(golden));
  LayerRegistry builtin;  // the global one may hold layers of other tests
  register_builtin_layers(builtin);
  for (const std::string& type : builtin.types()) {
    INFO(type);
    CHECK(reference::knows(type));
    CHECK(golden_types.count(type) == 1);
  }
  CHECK_FALSE(reference::knows("Conv2d"));
  expect_error([] { reference::evaluate<double>("Conv2d", Attributes::parse("{}"), {}, {}); },
               ErrorKind::kUnsupported, "the reference has no layer type 'Conv2d'");
}

}  // namespace
}  // namespace engine::test
