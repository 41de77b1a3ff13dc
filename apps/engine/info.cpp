// engine info: what a model consists of, layer by layer.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "apps/engine/commands.h"
#include "apps/engine/console.h"
#include "apps/engine/graph_dot.h"
#include "apps/engine/model_options.h"
#include "apps/engine/plan_report.h"
#include "apps/engine/table.h"
#include "apps/engine/text_format.h"
#include "engine/engine_state.h"

namespace engine::cli {
namespace {

using nlohmann::ordered_json;

struct InfoOptions {
  ModelOptions model;
  Sizes sizes;
  bool json = false;
  bool dot = false;
  bool kernels = false;
};

std::string layer_table(const PlanReport& report) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"layer"},
               {"type"},
               {"output"},
               {"params", kRight},
               {"FLOPs", kRight},
               {"bytes", kRight},
               {"field", kRight},
               {"kernel"}});
  for (const LayerReport& layer : report.layers) {
    table.add_row({layer.name, layer.type, outputs_text(layer.outputs), grouped(layer.parameters),
                   si(static_cast<double>(layer.flops), ""),
                   si(static_cast<double>(layer.bytes), "B"),
                   layer.receptive_field ? grouped(*layer.receptive_field) : "all", layer.kernel});
  }
  table.add_line();
  table.add_row({"total", "", "", grouped(report.parameters),
                 si(static_cast<double>(report.flops), ""),
                 si(static_cast<double>(report.bytes), "B"), "", ""});
  return table.to_string();
}

// "1,021 samples (63.8 ms)", or "the whole input from 'mean' on; 1,021 samples (63.8 ms) before".
std::string field_text(const PlanReport& report, std::optional<double> rate) {
  int64_t widest = 1;
  std::string first_whole;
  for (const LayerReport& layer : report.layers) {
    if (layer.receptive_field) widest = std::max(widest, *layer.receptive_field);
    if (!layer.receptive_field && first_whole.empty()) first_whole = layer.name;
  }
  std::string samples = fmt::format("{} sample{}", grouped(widest), widest == 1 ? "" : "s");
  if (rate) samples += fmt::format(" ({})", si(static_cast<double>(widest) / *rate, "s"));
  if (first_whole.empty()) return samples;
  return fmt::format("the whole input from '{}' on; {} before", first_whole, samples);
}

std::vector<std::string> or_none(const std::vector<std::string>& names) {
  return names.empty() ? std::vector<std::string>{"none"} : names;
}

std::string outputs_list(const Engine& engine, const Plan& plan) {
  std::vector<std::string> outputs;
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    outputs.push_back(engine.outputs()[i].name + " " + to_string(plan.outputs[i]));
  }
  return labelled_list("outputs", outputs);
}

std::string info_text(const Engine& engine, const Plan& plan) {
  const PlanReport report = report_plan(engine, plan);
  std::string text = plan_title(engine, plan) + "\n\n" + layer_table(report) + "\n";
  text += outputs_list(engine, plan);
  if (!engine.labels().empty()) text += labelled_list("labels", engine.labels());
  text += labelled_list("receptive field", {field_text(report, sample_rate(engine))});
  text += labelled_list("arena", {fmt::format("{} ({} without overlapping lifetimes)",
                                              si(static_cast<double>(plan.arena_bytes), "B"),
                                              si(static_cast<double>(plan.total_bytes), "B"))});
  text += labelled_list("fused", or_none(engine.state()->fused_layers));
  text += labelled_list("dead layers", or_none(engine.dead_layers()));
  return text;
}

// Each layer that had kernels to choose from, the one that it took, and why.
std::string kernels_text(const Engine& engine, const Plan& plan) {
  std::string text = plan_title(engine, plan) + "\n";
  for (const PlanStep& step : plan.steps) {
    if (step.step.reason.empty()) continue;
    text += fmt::format("\n{} ({}) {} -> {}\n", step.layer, step.type,
                        outputs_text(step.input_specs), outputs_text(step.output_specs));
    text += labelled_list("  kernel", {step.step.kernel});
    text += labelled_list("  why", {step.step.reason});
  }
  return text;
}

ordered_json layer_json(const LayerReport& layer) {
  ordered_json outputs = ordered_json::array();
  for (const TensorSpec& spec : layer.outputs) {
    outputs.push_back({{"dtype", to_string(spec.dtype)}, {"shape", spec.shape}});
  }
  ordered_json json{{"name", layer.name},         {"type", layer.type},
                    {"outputs", outputs},         {"parameters", layer.parameters},
                    {"flops", layer.flops},       {"bytes", layer.bytes},
                    {"receptive_field", nullptr}, {"kernel", layer.kernel},
                    {"reason", layer.reason}};
  if (layer.receptive_field) json["receptive_field"] = *layer.receptive_field;
  return json;
}

std::string info_json(const Engine& engine, const Plan& plan) {
  const PlanReport report = report_plan(engine, plan);
  ordered_json json = json_head(engine, plan);
  json["outputs"] = ordered_json::array();
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    json["outputs"].push_back({{"name", engine.outputs()[i].name},
                               {"dtype", to_string(plan.outputs[i].dtype)},
                               {"shape", plan.outputs[i].shape}});
  }
  json["labels"] = engine.labels();
  json["layers"] = ordered_json::array();
  for (const LayerReport& layer : report.layers) json["layers"].push_back(layer_json(layer));
  json["parameters"] = report.parameters;
  json["flops"] = report.flops;
  json["bytes"] = report.bytes;
  json["arena_bytes"] = plan.arena_bytes;
  json["arena_bytes_without_overlap"] = plan.total_bytes;
  json["fused_layers"] = engine.state()->fused_layers;
  json["dead_layers"] = engine.dead_layers();
  return json.dump(2) + "\n";
}

void print_info(const InfoOptions& options) {
  const Engine engine = load_model(options.model).engine;
  const std::vector<Shape> shapes = input_shapes(engine, options.sizes);
  if (options.dot) {
    print(graph_dot(engine.name(), engine.state()->graph, shapes));
    return;
  }
  const Plan plan = engine.state()->make_plan_for(shapes);
  if (options.kernels) {
    print(kernels_text(engine, plan));
    return;
  }
  print(options.json ? info_json(engine, plan) : info_text(engine, plan));
}

}  // namespace

void add_info_command(CLI::App& app, int&) {
  const auto options = std::make_shared<InfoOptions>();
  CLI::App* command = app.add_subcommand("info", "Show a model's layers, sizes, cost and memory");
  add_model_options(*command, options->model);
  add_size_option(*command, options->sizes);
  CLI::Option* json = command->add_flag("--json", options->json, "As JSON");
  CLI::Option* dot =
      command->add_flag("--dot", options->dot, "As a Graphviz graph")->excludes(json);
  command
      ->add_flag("--kernels", options->kernels,
                 "The kernel of each layer that had several to choose from, and why")
      ->excludes(json)
      ->excludes(dot);
  command->footer(
      "FLOPs count a multiply-add as two. Bytes are those that a layer must move: inputs, "
      "parameters\n"
      "and outputs, each once. Field is the receptive field in samples of the input.\n"
      "Examples:\n"
      "  engine info graphs/keywords.yaml\n"
      "  engine info graphs/tcn.yaml --size length=48000 --json\n"
      "  engine info graphs/m5.yaml --device cuda:0 --precision tf32 --kernels\n"
      "  engine info graphs/m5.yaml --no-fuse --dot | dot -Tsvg > m5.svg");
  command->callback([options] { print_info(*options); });
}

}  // namespace engine::cli
