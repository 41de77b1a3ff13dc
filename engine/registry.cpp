#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/error.h"
#include "engine/layer.h"
#include "engine/model/nearest_name.h"

namespace engine {

LayerRegistry& LayerRegistry::global() {
  static LayerRegistry registry = [] {
    LayerRegistry filled;
    register_builtin_layers(filled);
    return filled;
  }();
  return registry;
}

void LayerRegistry::add(const std::string& type, LayerFactory factory) {
  if (!factories_.emplace(type, std::move(factory)).second) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("layer type '{}' is registered already; choose another name", type));
  }
}

std::unique_ptr<Layer> LayerRegistry::create(const std::string& type,
                                             const Attributes& attributes) const {
  const auto found = factories_.find(type);
  if (found == factories_.end()) {
    attributes.fail("type", fmt::format("unknown layer type '{}'{}; known types: {}", type,
                                        did_you_mean(type, types()), fmt::join(types(), ", ")));
  }
  auto layer = found->second(attributes);
  attributes.reject_unused();
  return layer;
}

std::vector<std::string> LayerRegistry::types() const {
  std::vector<std::string> names;
  for (const auto& [name, factory] : factories_) names.push_back(name);
  return names;
}

}  // namespace engine
