// The list of built-in layers: one declaration and one call for each file or folder beside this.
#include "engine/layer.h"

namespace engine {

void register_activations(LayerRegistry& registry);
void register_concat(LayerRegistry& registry);
void register_conv1d(LayerRegistry& registry);
void register_conv_transpose1d(LayerRegistry& registry);
void register_elementwise(LayerRegistry& registry);
void register_embedding(LayerRegistry& registry);
void register_linear(LayerRegistry& registry);
void register_mean(LayerRegistry& registry);
void register_norms(LayerRegistry& registry);
void register_pad1d(LayerRegistry& registry);
void register_pools(LayerRegistry& registry);
void register_prelu(LayerRegistry& registry);
void register_slice(LayerRegistry& registry);
void register_split(LayerRegistry& registry);
void register_transpose(LayerRegistry& registry);
void register_upsample(LayerRegistry& registry);
void register_views(LayerRegistry& registry);

void register_builtin_layers(LayerRegistry& registry) {
  register_activations(registry);
  register_concat(registry);
  register_conv1d(registry);
  register_conv_transpose1d(registry);
  register_elementwise(registry);
  register_embedding(registry);
  register_linear(registry);
  register_mean(registry);
  register_norms(registry);
  register_pad1d(registry);
  register_pools(registry);
  register_prelu(registry);
  register_slice(registry);
  register_split(registry);
  register_transpose(registry);
  register_upsample(registry);
  register_views(registry);
}

}  // namespace engine
