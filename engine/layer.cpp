#include "engine/layer.h"

#include <fmt/format.h>

#include "engine/error.h"
#include "engine/plan/weight_cache.h"

namespace engine {

Tensor PrepareContext::weight(const std::string& key, const std::function<Tensor()>& make) const {
  return weights->get(*layer, key, device, make);
}

Tensor PrepareContext::parameter(const std::string& name, DType dtype) const {
  return weight(fmt::format("{}:{}", name, to_string(dtype)),
                [&] { return layer->parameter(name).to(dtype); });
}

std::vector<ParameterSpec> Layer::parameters(const std::vector<TensorSpec>&) const { return {}; }

int64_t Layer::flops(const std::vector<TensorSpec>&, const std::vector<TensorSpec>&) const {
  return 0;
}

std::unique_ptr<Layer> Layer::with_affine(const ChannelAffine&, const TensorSpec&) const {
  return nullptr;
}

std::unique_ptr<Layer> Layer::with_activation(const Activation&) const { return nullptr; }

std::unique_ptr<Layer> Layer::with_residual() const { return nullptr; }

void Layer::set_parameters(std::map<std::string, Tensor> parameters) {
  parameters_ = std::move(parameters);
}

const Tensor& Layer::parameter(const std::string& name) const {
  const auto found = parameters_.find(name);
  if (found == parameters_.end()) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("parameter '{}' was not loaded; call set_parameters first", name));
  }
  return found->second;
}

void expect_inputs(const std::vector<TensorSpec>& inputs, size_t count) {
  if (inputs.size() == count) return;
  throw Error(ErrorKind::kInvalidArgument, fmt::format("expected {} input{}, found {}", count,
                                                       count == 1 ? "" : "s", inputs.size()));
}

void expect_rank(const TensorSpec& spec, size_t rank, const char* layout) {
  if (spec.shape.size() == rank) return;
  throw Error(ErrorKind::kInvalidArgument,
              fmt::format("expected an input of {} dimensions ({}), found {}", rank, layout,
                          to_string(spec.shape)));
}

void expect_floating_point(const TensorSpec& spec) {
  if (is_floating(spec.dtype)) return;
  throw Error(ErrorKind::kInvalidArgument,
              fmt::format("expected an input of floating-point values, found {}", to_string(spec)));
}

}  // namespace engine
