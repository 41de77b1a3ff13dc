// Session: one thread's execution state for an Engine.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "engine/layer.h"
#include "engine/tensor.h"

namespace engine {

struct EngineState;
struct Plan;

/// An arena for intermediate values, a stream, and the plan of the last shapes. Belongs to one
/// thread at a time; keeps its engine alive.
class Session {
 public:
  explicit Session(std::shared_ptr<const EngineState> engine);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// As Engine::run.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs);

  /// Runs into tensors that the caller made, shaped as plan_for(inputs) says and on the engine's
  /// device (or the CPU). With all tensors on the engine's GPU this only enqueues work on stream();
  /// else it returns when the outputs are complete. Tensors may begin at any element; what is on
  /// the GPU is used in place, but for inputs, and outputs that later layers read, that do not
  /// begin at multiples of kInputAlignment bytes: those are copied. From the second run of a shape
  /// on it allocates nothing, as long as no other tensors need copies than before. Throws as
  /// Engine::run.
  void run_into(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs);

  /// Specs of the outputs that inputs of these shapes give.
  std::vector<TensorSpec> output_specs(const std::vector<Shape>& input_shapes);

  /// Called around every layer while set, for measuring: begin(i) before, end(i) after the work of
  /// plan step i is enqueued.
  struct Observer {
    std::function<void(size_t step)> begin;
    std::function<void(size_t step)> end;
  };
  void set_observer(Observer observer);

  /// The plan for inputs of these shapes; engine/plan/plan.h.
  std::shared_ptr<const Plan> plan_for(const std::vector<Shape>& input_shapes);

  /// The CUDA stream of this session; null on the CPU.
  CudaStream stream() const;
  /// Waits for everything enqueued so far. Throws Error(kDevice) where any of it failed.
  void synchronize();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace engine
