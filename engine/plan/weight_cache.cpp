#include "engine/plan/weight_cache.h"

namespace engine {

Tensor WeightCache::get(const Layer& layer, const std::string& key, Device device,
                        const std::function<Tensor()>& make) {
  const std::lock_guard lock(mutex_);
  Tensor& tensor = tensors_[{&layer, key}];
  if (!tensor.defined()) tensor = make().to(device);
  return tensor;
}

}  // namespace engine
