// EngineState: what an Engine and its sessions share.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/cpu/thread_pool.h"
#include "engine/engine.h"
#include "engine/graph/graph.h"
#include "engine/plan/plan_cache.h"
#include "engine/plan/weight_cache.h"

namespace engine {

struct EngineState {
  EngineOptions options;
  std::string name;
  Graph graph;
  std::vector<PortInfo> inputs;
  std::vector<PortInfo> outputs;
  std::vector<std::string> labels;
  std::vector<std::string> dead_layers;
  std::vector<std::string> fused_layers;  ///< "bn1 into conv1"
  std::vector<Shape> typical_shapes;

  // Filled while running, each guarded by itself.
  mutable ThreadPool threads;
  mutable WeightCache weights;
  mutable PlanCache plans;
  mutable std::mutex idle_mutex;
  mutable std::vector<Session> idle_sessions;  ///< for Engine::run, one a running thread
};

}  // namespace engine
