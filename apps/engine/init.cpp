// engine init: a weight file of random numbers, so that a graph that nobody trained can run.
#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "apps/engine/commands.h"
#include "apps/engine/console.h"
#include "apps/engine/progress.h"
#include "apps/engine/text_format.h"
#include "engine/error.h"
#include "engine/graph/graph.h"
#include "engine/model/model_spec.h"
#include "engine/model/weight_file.h"

namespace engine::cli {
namespace {

struct InitOptions {
  std::string model;
  std::string output;
  uint64_t seed = 0;
  bool force = false;
};

std::string output_path(const InitOptions& options, const ModelSpec& spec) {
  const std::string path = options.output.empty() ? spec.weights_path : options.output;
  if (path.empty()) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("{} names no weight file; say where to write one with --output "
                            "FILE.safetensors, and add it to the model as `weights:`",
                            options.model));
  }
  if (std::filesystem::exists(path) && !options.force) {
    throw Error(ErrorKind::kIo, fmt::format("'{}' exists; --force overwrites it", path));
  }
  return path;
}

void write_random_weights(const InitOptions& options) {
  const ModelSpec spec = read_model(options.model);
  const std::string path = output_path(options, spec);
  const Progress progress("writing " + path);
  const Graph graph = build_graph(spec, LayerRegistry::global());
  const std::map<std::string, Tensor> parameters = random_parameters(graph, options.seed);
  write_weight_file(path, parameters);
  int64_t count = 0;
  for (const auto& [name, tensor] : parameters) count += tensor.elements();
  print(fmt::format("{}: {} tensors, {} parameters, seed {}\n", path, parameters.size(),
                    grouped(count), options.seed));
}

}  // namespace

void add_init_command(CLI::App& app, int&) {
  const auto options = std::make_shared<InitOptions>();
  CLI::App* command = app.add_subcommand(
      "init", "Write random weights for a model, as PyTorch would initialise them");
  command->add_option("MODEL", options->model, "Model file (YAML)")->type_name("")->required();
  command->add_option("--seed", options->seed, "The same seed gives the same weights everywhere")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--output", options->output,
                   "Weight file to write [default: the one that the model names]")
      ->type_name("FILE");
  command->add_flag("--force", options->force, "Overwrite the file where it exists");
  command->footer(
      "Examples:\n"
      "  engine init my_model.yaml\n"
      "  engine init graphs/tcn.yaml --seed 7 --output tcn.safetensors");
  command->callback([options] { write_random_weights(*options); });
}

}  // namespace engine::cli
