// engine compare: every value of a model on the CPU and on a GPU against the Eigen reference.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/engine/commands.h"
#include "apps/engine/compare_sizes.h"
#include "apps/engine/console.h"
#include "apps/engine/difference.h"
#include "apps/engine/input_files.h"
#include "apps/engine/model_options.h"
#include "apps/engine/plan_report.h"
#include "apps/engine/progress.h"
#include "apps/engine/random_inputs.h"
#include "apps/engine/reference_run.h"
#include "apps/engine/table.h"
#include "apps/engine/text_format.h"
#include "engine/cuda/runtime.h"
#include "engine/engine_state.h"
#include "layers/conv1d/conv1d_select.h"

namespace engine::cli {
namespace {

struct CompareOptions {
  ModelOptions model;  // its precision is not used
  Sizes sizes;
  std::vector<std::string> inputs;
  std::vector<std::string> precisions;  ///< of the GPU; none stands for fp32
  uint64_t seed = 1;
  std::optional<double> tolerance;
};

/// One way to compute the model.
struct Backend {
  std::string name;  ///< "cpu", or a GPU's precision: "fp16"
  EngineOptions options;
  double tolerance = 0.0;  ///< of the relative L2 error
};

/// What all backends are held against.
struct Problem {
  ModelSpec spec;
  ModelSpec all_values;  ///< the same model with every layer's value as an output
  std::vector<Tensor> inputs;
  Graph graph;               ///< of all_values, unfused
  std::vector<int> outputs;  ///< the values that are the model's own outputs
  std::vector<ReferenceValue> exact;
};

/// Differences of one backend; nothing where there is no independent value to compare with.
using Differences = std::vector<std::optional<Difference>>;

// Twenty roundings of a 16-bit format or TF32 for a whole network (a unit roundoff is 2^-11 in fp16
// and tf32, 2^-8 in bf16); fp32 has room to spare.
double default_tolerance(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return 1e-4;
    case Precision::kTf32:
    case Precision::kFp16:
      return 1e-2;
    case Precision::kBf16:
      return 8e-2;
  }
  return 0.0;
}

std::vector<Backend> choose_backends(const CompareOptions& options) {
  const Device device = Device::parse(options.model.device);
  std::vector<Backend> backends{{"cpu", {Device::cpu(), Precision::kFp32, options.model.threads}}};
  if (device.is_cuda()) {
    const std::vector<std::string> fp32{"fp32"};
    for (const std::string& name : options.precisions.empty() ? fp32 : options.precisions) {
      backends.push_back({name, {device, parse_precision(name), options.model.threads}});
    }
  } else if (options.model.device == "auto") {
    note("the CPU only: " + cuda::why_no_device());
  } else if (!options.precisions.empty()) {
    note("the CPU only, in fp32: --precision is for a GPU");
  }
  for (Backend& backend : backends) {
    backend.tolerance = options.tolerance.value_or(default_tolerance(backend.options.precision));
    // A kernel is of one kind of device; on the other the engine chooses.
    const std::vector<std::string> names = conv1d_kernel_names(backend.options.device.type);
    const bool has_kernel =
        std::find(names.begin(), names.end(), options.model.kernel) != names.end();
    if (has_kernel) backend.options.kernel = options.model.kernel;
  }
  return backends;
}

Engine load_unfused(const ModelSpec& spec, EngineOptions options) {
  options.fuse = false;
  return Engine::from_spec(spec, options);
}

ModelSpec with_all_values(ModelSpec spec, const Graph& graph) {
  spec.labels.clear();
  spec.outputs.clear();
  for (const Node& node : graph.nodes) {
    for (const int value : node.outputs) {
      const std::string& name = graph.values[static_cast<size_t>(value)].name;
      spec.outputs.push_back({name, {name, node.place}});
    }
  }
  return spec;
}

// By value of the graph; undefined for the model's inputs.
std::vector<Tensor> by_value(const Graph& graph, const std::vector<Tensor>& outputs) {
  std::vector<Tensor> values(graph.values.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    values[static_cast<size_t>(graph.outputs[i].value)] = outputs[i];
  }
  return values;
}

std::vector<Tensor> choose_inputs(const CompareOptions& options, const LoadedModel& model) {
  if (!options.inputs.empty()) return read_inputs(options.inputs, model.spec, note);
  const std::vector<Shape> shapes = comparable_shapes(model.engine, options.sizes, note);
  return random_inputs(model.engine.state()->graph, shapes, options.seed);
}

Problem state_problem(const CompareOptions& options, const Backend& cpu) {
  ModelOptions unfused = options.model;
  unfused.device = "cpu";
  unfused.no_fuse = true;
  const LoadedModel model = load_model(unfused);
  const Graph& model_graph = model.engine.state()->graph;

  Problem problem;
  problem.spec = model.spec;
  problem.all_values = with_all_values(model.spec, model_graph);
  problem.inputs = choose_inputs(options, model);
  const Engine engine = load_unfused(problem.all_values, cpu.options);
  problem.graph = engine.state()->graph;
  for (const GraphOutput& output : model_graph.outputs) problem.outputs.push_back(output.value);
  Progress progress("computing the reference");
  const std::vector<Tensor> values = by_value(problem.graph, engine.run(problem.inputs));
  problem.exact = run_reference(problem.graph, model.spec, problem.inputs, values, progress);
  return problem;
}

Differences compare_values(const Problem& problem, const Backend& backend) {
  const Progress progress("running on " + to_string(backend.options.device));
  const Engine engine = load_unfused(problem.all_values, backend.options);
  const std::vector<Tensor> values = by_value(problem.graph, engine.run(problem.inputs));
  Differences differences(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    // A value that came from the CPU is no judge of the CPU.
    const bool judged = problem.exact[i].is_known || backend.options.device.is_cuda();
    if (values[i].defined() && judged) {
      differences[i] = difference(values[i], problem.exact[i].data);
    }
  }
  return differences;
}

// The model's outputs with everything fused, as users run it; in declared order.
Differences compare_outputs(const Problem& problem, const Backend& backend) {
  const Progress progress("running fused on " + to_string(backend.options.device));
  const Engine engine = Engine::from_spec(problem.spec, backend.options);
  const std::vector<Tensor> outputs = engine.run(problem.inputs);
  Differences differences;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ReferenceValue& exact = problem.exact[static_cast<size_t>(problem.outputs[i])];
    differences.push_back(difference(outputs[i], exact.data));
  }
  return differences;
}

bool departs(const std::optional<Difference>& found, const Backend& backend) {
  return found && found->relative_l2 > backend.tolerance;
}

Table make_table(const std::string& what, const std::vector<Backend>& backends) {
  std::vector<Table::Column> columns{{what}, {"type"}, {"shape"}};
  for (const Backend& backend : backends) {
    columns.push_back({backend.name + " max", Table::Align::kRight});
    columns.push_back({backend.name + " L2", Table::Align::kRight});
  }
  columns.push_back({"departs"});
  return Table(std::move(columns));
}

// Adds row `index` of the differences of every backend.
void add_row(Table& table, std::vector<std::string> cells, const std::vector<Backend>& backends,
             const std::vector<Differences>& differences, size_t index) {
  std::string departing;
  for (size_t b = 0; b < backends.size(); ++b) {
    const std::optional<Difference>& found = differences[b][index];
    cells.push_back(found ? fmt::format("{:.1e}", found->max_abs) : "-");
    cells.push_back(found ? fmt::format("{:.1e}", found->relative_l2) : "-");
    if (departs(found, backends[b])) departing += (departing.empty() ? "" : " ") + backends[b].name;
  }
  cells.push_back(departing);
  table.add_row(std::move(cells));
}

std::string value_table(const Problem& problem, const std::vector<Backend>& backends,
                        const std::vector<Differences>& differences,
                        const std::vector<Shape>& input_shapes) {
  const std::vector<TensorSpec> specs = infer_values(problem.graph, input_shapes);
  Table table = make_table("value", backends);
  for (const Node& node : problem.graph.nodes) {
    for (const int value : node.outputs) {
      const auto index = static_cast<size_t>(value);
      add_row(table, {problem.graph.values[index].name, node.type, to_string(specs[index].shape)},
              backends, differences, index);
    }
  }
  return table.to_string();
}

std::string output_table(const Problem& problem, const std::vector<Backend>& backends,
                         const std::vector<Differences>& differences,
                         const std::vector<Shape>& input_shapes) {
  const std::vector<TensorSpec> specs = infer_values(problem.graph, input_shapes);
  Table table = make_table("output, fused", backends);
  for (size_t i = 0; i < problem.outputs.size(); ++i) {
    add_row(table,
            {problem.spec.outputs[i].name, "",
             to_string(specs[static_cast<size_t>(problem.outputs[i])].shape)},
            backends, differences, i);
  }
  return table.to_string();
}

// "fp16 on cuda:0: departs first at 'a1_act' (ReLU): ...", or that it agrees.
std::string verdict(const Problem& problem, const Backend& backend, const Differences& values,
                    const Differences& outputs) {
  const std::string where =
      backend.options.device.is_cuda()
          ? fmt::format("{} on {}", backend.name, to_string(backend.options.device))
          : "fp32 on cpu";
  for (const Node& node : problem.graph.nodes) {
    for (const int value : node.outputs) {
      const std::optional<Difference>& found = values[static_cast<size_t>(value)];
      if (!departs(found, backend)) continue;
      return fmt::format("{}: departs first at '{}' ({}): relative L2 {:.1e}, tolerance {:.0e}\n",
                         where, problem.graph.values[static_cast<size_t>(value)].name, node.type,
                         found->relative_l2, backend.tolerance);
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!departs(outputs[i], backend)) continue;
    return fmt::format(
        "{}: departs at output '{}' once fused: relative L2 {:.1e}, tolerance {:.0e}\n", where,
        problem.spec.outputs[i].name, outputs[i]->relative_l2, backend.tolerance);
  }
  return fmt::format("{}: agrees with the reference within a relative L2 of {:.0e}\n", where,
                     backend.tolerance);
}

int run_compare(const CompareOptions& options) {
  const std::vector<Backend> backends = choose_backends(options);
  const Problem problem = state_problem(options, backends.front());
  std::vector<Shape> shapes;
  for (const Tensor& input : problem.inputs) shapes.push_back(input.shape());

  std::vector<Differences> values;
  std::vector<Differences> outputs;
  for (const Backend& backend : backends) {
    values.push_back(compare_values(problem, backend));
    outputs.push_back(compare_outputs(problem, backend));
  }
  std::string text = value_table(problem, backends, values, shapes) + "\n" +
                     output_table(problem, backends, outputs, shapes) + "\n";
  bool any_departs = false;
  for (size_t b = 0; b < backends.size(); ++b) {
    text += verdict(problem, backends[b], values[b], outputs[b]);
    const auto departing = [&](const auto& found) { return departs(found, backends[b]); };
    any_departs = any_departs || std::any_of(values[b].begin(), values[b].end(), departing) ||
                  std::any_of(outputs[b].begin(), outputs[b].end(), departing);
  }
  print(text);
  return any_departs ? 1 : 0;
}

}  // namespace

void add_compare_command(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<CompareOptions>();
  CLI::App* command =
      app.add_subcommand("compare", "Check every layer on the CPU and a GPU against the reference");
  add_model_argument(*command, options->model);
  command
      ->add_option("--device", options->model.device,
                   "auto (the CPU and the first GPU), cpu, or a GPU beside the CPU")
      ->type_name("NAME")
      ->check(device_name())
      ->capture_default_str();
  command
      ->add_option("--precision", options->precisions,
                   "Of the GPU, by commas: fp32, tf32, fp16, bf16 [default: fp32]")
      ->type_name("NAMES")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(precision_name());
  add_threads_option(*command, options->model.threads);
  add_kernel_option(*command, options->model.kernel);
  add_size_option(*command, options->sizes);
  command
      ->add_option("--input", options->inputs,
                   "A file to compare on in place of random numbers (repeatable)")
      ->type_name("[NAME=]FILE")
      ->allow_extra_args(false);
  command->add_option("--seed", options->seed, "Of the random inputs")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--tolerance", options->tolerance,
                   "Relative L2 error to stay within [default: 1e-4 in fp32, 1e-2 in tf32 and "
                   "fp16, 8e-2 in bf16]")
      ->type_name("X")
      ->check(CLI::PositiveNumber.description(""));
  command->footer(
      "Columns are the largest absolute error and the relative L2 error against the Eigen\n"
      "reference in double precision, which computes each layer from its own values before. A '-'\n"
      "is a layer that the reference does not know. Returns 1 where anything departs.\n"
      "Examples:\n"
      "  engine compare graphs/keywords.yaml\n"
      "  engine compare graphs/m5.yaml --precision fp32,tf32,fp16,bf16\n"
      "  engine compare graphs/tcn.yaml --size length=4096 --seed 7");
  command->callback([options, &exit_code] { exit_code = run_compare(*options); });
}

}  // namespace engine::cli
