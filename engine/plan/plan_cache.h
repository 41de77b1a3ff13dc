// PlanCache: the plans of an engine by input shapes, the latest few.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/plan/plan.h"

namespace engine {

/// Keeps the most recently used plans. Thread-safe; sessions that still use a dropped plan keep it
/// alive.
class PlanCache {
 public:
  static constexpr size_t kCapacity = 32;

  /// The plan for these shapes; `make` plans it where it is not cached.
  std::shared_ptr<const Plan> get(const std::vector<Shape>& input_shapes,
                                  const std::function<Plan()>& make);
  size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::list<std::shared_ptr<const Plan>> plans_;  // most recently used first
};

}  // namespace engine
