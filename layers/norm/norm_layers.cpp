#include "layers/norm/norm_layers.h"

namespace engine {

void register_norms(LayerRegistry& registry) {
  registry.add("BatchNorm1d", make_batch_norm);
  registry.add("LayerNorm", make_layer_norm);
  registry.add("GroupNorm", make_group_norm);
  registry.add("InstanceNorm1d", make_instance_norm);
  registry.add("Softmax", make_softmax);
  registry.add("LogSoftmax", make_log_softmax);
}

}  // namespace engine
