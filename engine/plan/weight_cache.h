// WeightCache: what layers derive from their parameters, once per engine.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "engine/tensor.h"

namespace engine {

class Layer;

/// Device copies and packed forms of weights, shared by all plans of an engine. Thread-safe.
class WeightCache {
 public:
  /// The tensor under (layer, key) on `device`; `make` builds it on the CPU at the first call.
  Tensor get(const Layer& layer, const std::string& key, Device device,
             const std::function<Tensor()>& make);

 private:
  std::mutex mutex_;
  std::map<std::pair<const Layer*, std::string>, Tensor> tensors_;
};

}  // namespace engine
