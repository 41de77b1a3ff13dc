// The order that layers run in.
#pragma once

#include <vector>

#include "engine/model/model_spec.h"

namespace engine {

/// Puts every layer after those it reads from, and leaves file order otherwise. All references must
/// be known. Throws Error(kModel) that names the layers of a cycle.
void order_layers(std::vector<LayerSpec>& layers);

}  // namespace engine
