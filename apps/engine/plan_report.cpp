#include "apps/engine/plan_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "apps/engine/receptive_field.h"
#include "engine/engine_state.h"

namespace engine::cli {
namespace {

int64_t total_bytes(const std::vector<TensorSpec>& specs) {
  int64_t bytes = 0;
  for (const TensorSpec& spec : specs) bytes += spec.bytes();
  return bytes;
}

// By the name of the node that computes it.
std::map<std::string, std::optional<int64_t>> fields_by_node(const Graph& graph) {
  const auto fields = receptive_fields(graph);
  std::map<std::string, std::optional<int64_t>> by_node;
  for (const Node& node : graph.nodes) {
    by_node[node.name] = fields[static_cast<size_t>(node.outputs[0])];
  }
  return by_node;
}

LayerReport report_step(const PlanStep& step) {
  LayerReport layer;
  layer.name = step.layer;
  layer.type = step.type;
  layer.kernel = step.step.kernel;
  layer.reason = step.step.reason;
  layer.outputs = step.output_specs;
  layer.parameters = step.parameter_bytes / static_cast<int64_t>(sizeof(float));
  layer.flops = step.flops;
  const bool is_view = !step.step.enqueue;
  if (!is_view) {
    layer.bytes =
        total_bytes(step.input_specs) + total_bytes(step.output_specs) + step.parameter_bytes;
  }
  return layer;
}

}  // namespace

PlanReport report_plan(const Engine& engine, const Plan& plan) {
  const auto fields = fields_by_node(engine.state()->graph);
  PlanReport report;
  for (const PlanStep& step : plan.steps) {
    LayerReport layer = report_step(step);
    const auto field = fields.find(step.layer);
    // A conversion of an input sees one sample of it.
    layer.receptive_field = field == fields.end() ? std::optional<int64_t>(1) : field->second;
    report.parameters += layer.parameters;
    report.flops += layer.flops;
    report.bytes += layer.bytes;
    report.layers.push_back(std::move(layer));
  }
  return report;
}

std::string outputs_text(const std::vector<TensorSpec>& outputs) {
  std::vector<std::string> texts;
  for (const TensorSpec& spec : outputs) {
    texts.push_back(is_floating(spec.dtype) ? to_string(spec.shape) : to_string(spec));
  }
  return fmt::format("{}", fmt::join(texts, " "));
}

std::optional<double> sample_rate(const Engine& engine) {
  for (const PortInfo& input : engine.inputs()) {
    if (input.sample_rate) return input.sample_rate;
  }
  return std::nullopt;
}

std::string plan_title(const Engine& engine, const Plan& plan) {
  std::string title =
      fmt::format("{} on {} in {}", engine.name(), to_string(engine.options().device),
                  to_string(engine.options().precision));
  for (size_t i = 0; i < engine.inputs().size(); ++i) {
    const PortInfo& input = engine.inputs()[i];
    title += fmt::format("{} {} {} {}", i == 0 ? ";" : ",", input.name, to_string(input.dtype),
                         to_string(plan.input_shapes[i]));
    if (input.sample_rate) title += fmt::format(" at {} Hz", *input.sample_rate);
  }
  return title;
}

nlohmann::ordered_json json_head(const Engine& engine, const Plan& plan) {
  nlohmann::ordered_json head;
  head["model"] = engine.name();
  head["device"] = to_string(engine.options().device);
  head["precision"] = to_string(engine.options().precision);
  head["inputs"] = nlohmann::ordered_json::array();
  for (size_t i = 0; i < engine.inputs().size(); ++i) {
    const PortInfo& input = engine.inputs()[i];
    nlohmann::ordered_json entry{{"name", input.name},
                                 {"dtype", to_string(input.dtype)},
                                 {"declared_shape", input.shape},
                                 {"shape", plan.input_shapes[i]},
                                 {"sample_rate", nullptr}};
    if (input.sample_rate) entry["sample_rate"] = *input.sample_rate;
    head["inputs"].push_back(std::move(entry));
  }
  return head;
}

}  // namespace engine::cli
