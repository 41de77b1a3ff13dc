// Plan: a graph at fixed shapes on one device, with its kernels chosen and its memory laid out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/layer.h"
#include "engine/tensor.h"

namespace engine {

struct Graph;

/// Where a value lives while a plan runs.
struct Slot {
  enum class Home { kArena, kInput, kOutput };
  Home home = Home::kArena;
  int index = 0;       ///< of the model's input or output
  int64_t offset = 0;  ///< into the arena, in bytes
};

/// One thing to run, in order.
struct PlanStep {
  std::string layer;  ///< the layer's name; "input waveform" or "output scores" for conversions
  std::string type;
  std::vector<TensorSpec> input_specs;
  std::vector<TensorSpec> output_specs;
  std::vector<Slot> inputs;
  std::vector<Slot> outputs;
  int64_t workspace_offset = 0;  ///< into the arena
  Step step;
  int64_t flops = 0;
  int64_t parameter_bytes = 0;  ///< as stored: f32
};

/// Immutable once made; shared by all sessions of an engine.
struct Plan {
  std::vector<Shape> input_shapes;
  std::vector<TensorSpec> outputs;  ///< as the caller sees them
  std::vector<PlanStep> steps;
  int64_t arena_bytes = 0;  ///< intermediate values and workspaces, lifetimes overlapped
  int64_t total_bytes = 0;  ///< what the same would take without overlapping
};

/// What make_plan needs beside the graph.
struct PlanContext {
  Device device;
  Precision precision = Precision::kFp32;
  int threads = 1;
  WeightCache* weights = nullptr;
  std::string kernel;  ///< PrepareContext::kernel
};

/// Plans `graph` for inputs of these shapes. Throws Error(kInvalidArgument) with the layer's name
/// where a layer cannot take its inputs.
Plan make_plan(const Graph& graph, const std::vector<Shape>& input_shapes,
               const PlanContext& context);

/// The plan as a table: layer, shapes, kernel, place in memory.
std::string to_string(const Plan& plan);

}  // namespace engine
