#include "tests/layers/conv1d/kernel_check.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include "layers/conv1d/conv1d_select.h"
#include "layers/conv1d/conv_layer.h"
#include "tests/support/expectation.h"
#include "tests/support/random.h"
#include "tests/support/run_layer.h"

namespace engine::test {
namespace {

// A convolution that runs one row of the table, chosen or not.
class OneKernel : public Layer {
 public:
  OneKernel(const Layer& conv, const Conv1dKernel& kernel, const Conv1dProblem& problem)
      : conv_(conv), kernel_(kernel), problem_(problem) {
    set_parameters(conv.loaded_parameters());
  }
  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    return conv_.infer({inputs[0]});
  }
  Step prepare(const PrepareContext& context) const override {
    Step step = kernel_.prepare(problem_, context);
    step.kernel = kernel_.name;
    return step;
  }

 private:
  const Layer& conv_;
  const Conv1dKernel& kernel_;
  const Conv1dProblem& problem_;
};

std::unique_ptr<Layer> create(const LayerCase& layer) {
  return LayerRegistry::global().create(layer.type, Attributes::parse(layer.attributes));
}

Tensor draw(const Shape& shape, DType dtype, Random& random) {
  Tensor tensor = Tensor::empty(shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.data<float>()[i] = static_cast<float>(random.normal());
  }
  return tensor.to(dtype);
}

Expectation then(const Expectation& before, const Following& following) {
  if (following.is_identity()) return before;
  return then_activation(before, following.type, Attributes::parse(following.attributes));
}

// The only row to run, or "" for all: a memory checker takes long for all of them.
std::string only_kernel() {
  const char* name = std::getenv("ENGINE_TEST_KERNEL");
  return name == nullptr ? "" : name;
}

// Multiplies element i of a tensor in f32 by 2^exponents(i).
template <typename Exponents>
void scale(Tensor& tensor, const Exponents& exponents) {
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    float& value = tensor.data<float>()[i];
    value = std::ldexp(value, exponents(i));
  }
}

void scale(const Magnitudes& magnitudes, Tensor& x, Tensor& weight) {
  const int64_t channels = x.shape()[1], length = x.shape()[2], taps = weight.shape()[2];
  const auto channel_exponent = [&](int64_t channel) {
    return magnitudes.channel_step * static_cast<int>(channel);
  };
  scale(x, [&](int64_t i) {
    const int second = i % (channels * length) == 1 ? magnitudes.second_exponent : 0;
    return magnitudes.exponent + channel_exponent(i / length % channels) + second;
  });
  scale(weight, [&](int64_t i) { return -channel_exponent(i / taps % channels); });
}

// Runs every row that can compute the case on the target; returns how many did.
int check_kernels_on(const ConvCase& conv_case, const Target& target) {
  const LayerCase& layer = conv_case.layer;
  Random random(layer.seed);
  const DType storage = storage_dtype(target.precision);
  const auto conv = create(layer);
  auto parameters = draw_parameters(*conv, layer.inputs, storage, random);
  std::vector<Tensor> inputs = {draw(layer.inputs[0].shape, storage, random)};
  if (!conv_case.magnitudes.is_plain()) {
    scale(conv_case.magnitudes, inputs[0], parameters.at("weight"));
  }
  conv->set_parameters(std::move(parameters));
  const Problem reference{layer.type, Attributes::parse(layer.attributes),
                          conv->loaded_parameters(), inputs};
  Expectation expected = then(expect(reference, target.precision).front(), conv_case.activation);
  if (conv_case.residual) {
    inputs.push_back(draw(conv->infer(layer.inputs)[0].shape, storage, random));
    expected = then(then_add(expected, inputs[1], target.precision), conv_case.residual_activation);
  }
  Conv1dProblem problem = problem_of(layer, target.precision);
  problem.activation = conv_case.activation.activation();
  problem.residual = conv_case.residual;
  problem.residual_activation = conv_case.residual_activation.activation();
  int count = 0;
  for (const Conv1dKernel& kernel : conv1d_kernels()) {
    if (kernel.device != target.device.type || !kernel.can_implement(problem)) continue;
    if (!only_kernel().empty() && only_kernel() != kernel.name) continue;
    INFO("kernel ", std::string(kernel.name), " on ", to_string(problem));
    const Tensor output = run_layer(OneKernel(*conv, kernel, problem), inputs, target).front();
    const std::string wrong = difference(output, expected, target.precision);
    CHECK_MESSAGE(wrong.empty(), wrong);
    ++count;
  }
  return count;
}

}  // namespace

Conv1dProblem problem_of(const LayerCase& layer, Precision precision) {
  const TensorSpec input = {layer.inputs[0].shape, storage_dtype(precision)};
  return dynamic_cast<const ConvLayer&>(*create(layer)).problem(input, precision);
}

void check_fused_kernels(const ConvCase& conv_case) {
  INFO("seed ", conv_case.layer.seed);
  for (const Target& target : targets()) {
    INFO("on ", to_string(target));
    const bool is_f32 = storage_dtype(target.precision) == DType::kF32;
    if (!is_f32 && !conv_case.magnitudes.is_plain()) continue;
    const int count = check_kernels_on(conv_case, target);
    if (only_kernel().empty()) CHECK(count > 0);
  }
}

void check_kernels(const LayerCase& layer) {
  check_fused_kernels({layer, {}, false, {}});
  check_fused_kernels(with_random_epilogue(layer));
}

}  // namespace engine::test
