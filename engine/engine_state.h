// EngineState: what an Engine and its sessions share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/cpu/thread_pool.h"
#include "engine/engine.h"
#include "engine/graph/graph.h"
#include "engine/plan/plan_cache.h"
#include "engine/plan/weight_cache.h"

namespace engine {

/// A loaded model. Immutable but for caches that guard themselves, so it is used through const
/// handles from many threads.
struct EngineState {
  /// Builds, loads and optimises the graph. Throws as Engine::load.
  EngineState(const ModelSpec& spec, const EngineOptions& chosen);

  /// Input shapes at the typical sizes.
  std::vector<Shape> typical_shapes() const;
  /// A new plan; sessions go through `plans`.
  Plan make_plan_for(const std::vector<Shape>& input_shapes) const;

  EngineOptions options;
  std::string name;
  Graph graph;
  std::vector<PortInfo> inputs;
  std::vector<PortInfo> outputs;
  std::vector<std::string> labels;
  std::vector<std::string> dead_layers;
  std::vector<std::string> fused_layers;  ///< "bn1 into conv1"

  const std::shared_ptr<ThreadPool> threads;
  mutable WeightCache weights;
  mutable PlanCache plans;
};

}  // namespace engine
