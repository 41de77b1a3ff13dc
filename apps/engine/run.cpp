// engine run: files in, labels or files out.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "apps/engine/commands.h"
#include "apps/engine/console.h"
#include "apps/engine/file_argument.h"
#include "apps/engine/input_files.h"
#include "apps/engine/model_options.h"
#include "apps/engine/output_files.h"
#include "apps/engine/progress.h"
#include "apps/engine/tensor_text.h"

namespace engine::cli {
namespace {

struct RunOptions {
  ModelOptions model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  int64_t top = 5;
};

std::string results_text(const Engine& engine, const std::vector<Tensor>& outputs, int64_t top) {
  std::string text;
  size_t first_unlabelled = 0;
  if (!engine.labels().empty()) {
    text = top_labels(engine.outputs()[0].name, outputs[0], engine.labels(), top);
    first_unlabelled = 1;
  }
  for (size_t i = first_unlabelled; i < outputs.size(); ++i) {
    text += summary(engine.outputs()[i].name, outputs[i]);
  }
  return text;
}

void run_model(const RunOptions& options) {
  const LoadedModel model = load_model(options.model);
  std::vector<std::string> names;
  for (const PortInfo& output : model.engine.outputs()) names.push_back(output.name);
  const std::vector<OutputFile> files = parse_outputs(options.outputs, names);

  std::vector<Tensor> outputs;
  {
    const Progress progress("running " + options.model.model);
    outputs = model.engine.run(read_inputs(options.inputs, model.spec, note));
    write_outputs(files, names, outputs);
  }
  if (files.empty() || !model.engine.labels().empty()) {
    print(results_text(model.engine, outputs, options.top));
  }
}

// A usage error for anything but .npy and .npz.
std::string check_output(const std::string& text) {
  const FileArgument argument = parse_file_argument(text);
  if (has_extension(argument.path, ".npy")) return "";
  if (!has_extension(argument.path, ".npz")) return "'" + text + "' is no .npy or .npz file";
  return argument.name.empty() ? "" : "'" + text + "': one output by name goes into a .npy file";
}

}  // namespace

void add_run_command(CLI::App& app, int&) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Run a model on files");
  add_model_options(*command, options->model);
  command
      ->add_option("--input", options->inputs,
                   "A sound file, .npy or .npz for an input of the model (repeatable)")
      ->type_name("[NAME=]FILE")
      ->required()
      ->allow_extra_args(false);
  command
      ->add_option("--output", options->outputs,
                   "Where to write an output as .npy, or all of them as .npz (repeatable)")
      ->type_name("[NAME=]FILE")
      ->check(CLI::Validator(check_output, ""))
      ->allow_extra_args(false);
  command->add_option("--top", options->top, "How many labels to print")
      ->type_name("N")
      ->check(CLI::Range(int64_t{1}, INT64_MAX).description(""))
      ->capture_default_str();
  command->add_flag("--check-finite", options->model.check_finite,
                    "Fail where an output holds a NaN or an infinity");
  command->footer(
      "A sound is resampled and mixed down to what the model takes, with a note on stderr.\n"
      "A model with labels prints the most probable ones, with softmax where its output holds no\n"
      "probabilities. Without labels and without --output a summary of each output is printed.\n"
      "Examples:\n"
      "  engine run graphs/keywords.yaml --input weights/keywords/samples/yes.wav\n"
      "  engine run graphs/tcn.yaml --input x.npy --output y.npy --device cuda:0 --precision fp16\n"
      "  engine run two_inputs.yaml --input left=a.npy --input right=b.npy --output all.npz");
  command->callback([options] { run_model(*options); });
}

}  // namespace engine::cli
