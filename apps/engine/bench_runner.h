// Runs a model over and over on the same inputs, and takes times.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/plan/plan.h"

namespace engine::cli {

/// Inputs and outputs are on the engine's device, so that what is timed is the model alone. Belongs
/// to one thread.
class BenchRunner {
 public:
  /// Draws the inputs at random and plans for their shapes.
  BenchRunner(const Engine& engine, const std::vector<Shape>& input_shapes);

  const Plan& plan() const { return *plan_; }

  /// Seconds from the start of one run to its end: wall clock on the CPU, between two events of
  /// the stream on a GPU.
  double run_once();
  /// Seconds by the wall clock for `runs` runs, one enqueued right behind the other.
  double run_back_to_back(int64_t runs);
  /// Seconds of each step of the plan in one run.
  std::vector<double> run_profiled();

 private:
  std::vector<double> profile_on_cpu();
  std::vector<double> profile_on_gpu();

  Engine engine_;
  Session session_;
  std::shared_ptr<const Plan> plan_;
  std::vector<Tensor> inputs_;
  std::vector<Tensor> outputs_;
};

}  // namespace engine::cli
