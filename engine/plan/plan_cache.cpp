#include "engine/plan/plan_cache.h"

#include <algorithm>

namespace engine {

std::shared_ptr<const Plan> PlanCache::get(const std::vector<Shape>& input_shapes,
                                           const std::function<Plan()>& make) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const auto& plan) {
    return plan->input_shapes == input_shapes;
  });
  if (found != plans_.end()) {
    plans_.splice(plans_.begin(), plans_, found);
  } else {
    plans_.push_front(std::make_shared<const Plan>(make()));
    if (plans_.size() > kCapacity) plans_.pop_back();
  }
  return plans_.front();
}

size_t PlanCache::size() const {
  const std::lock_guard lock(mutex_);
  return plans_.size();
}

}  // namespace engine
