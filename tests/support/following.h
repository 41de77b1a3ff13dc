// The activations that layers are tried with behind them.
#pragma once

#include <string>
#include <vector>

#include "engine/activation.h"

namespace engine::test {

/// An activation layer as a model file has it. Identity stands for none.
struct Following {
  std::string type = "Identity";
  std::string attributes = "{}";

  bool is_identity() const { return type == "Identity"; }
  /// What the layer before it is asked to absorb.
  Activation activation() const;
};

/// Identity, and each activation that can be absorbed.
const std::vector<Following>& followings();

}  // namespace engine::test
