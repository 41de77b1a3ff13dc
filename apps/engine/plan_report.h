// What a plan says of each layer, gathered for tables and JSON.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/plan/plan.h"

namespace engine::cli {

/// One step of a plan.
struct LayerReport {
  std::string name;
  std::string type;
  std::string kernel;
  std::string reason;  ///< for the choice of kernel; may be empty
  std::vector<TensorSpec> outputs;
  int64_t parameters = 0;
  int64_t flops = 0;
  int64_t bytes = 0;  ///< moved: inputs, parameters and outputs, each once; 0 for a view
  /// Input samples that an output position sees; nothing where it sees the whole signal.
  std::optional<int64_t> receptive_field;
};

struct PlanReport {
  std::vector<LayerReport> layers;
  int64_t parameters = 0;
  int64_t flops = 0;
  int64_t bytes = 0;
};

PlanReport report_plan(const Engine& engine, const Plan& plan);

/// "[1, 64, 16000]", or the shape of each output: "[1, 2, 8] [1, 2, 8]"; integers with their dtype.
std::string outputs_text(const std::vector<TensorSpec>& outputs);

/// "keywords on cpu in fp32; waveform f32 [1, 1, 16000] at 16000 Hz".
std::string plan_title(const Engine& engine, const Plan& plan);

/// The first sample rate that an input of the model declares.
std::optional<double> sample_rate(const Engine& engine);

/// Model, device, precision and input shapes, as the head of every JSON report.
nlohmann::ordered_json json_head(const Engine& engine, const Plan& plan);

}  // namespace engine::cli
