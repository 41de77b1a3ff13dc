// The list of built-in layers: one declaration and one call for each file or folder beside this.
#include "engine/layer.h"

namespace engine {

void register_activations(LayerRegistry& registry);

void register_builtin_layers(LayerRegistry& registry) {
  register_activations(registry);
}

}  // namespace engine
