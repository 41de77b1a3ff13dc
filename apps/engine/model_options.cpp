#include "apps/engine/model_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "apps/engine/console.h"
#include "apps/engine/progress.h"
#include "engine/engine_state.h"
#include "engine/model/nearest_name.h"
#include "layers/conv1d/conv1d_select.h"

namespace engine::cli {
namespace {

// Splits "length=16000"; false where it is not NAME=NUMBER with a number of at least 1.
bool parse_size(const std::string& text, std::string& name, int64_t& size) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) return false;
  const char* end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data() + equals + 1, end, size);
  name = text.substr(0, equals);
  return status == std::errc() && stop == end && size >= 1;
}

bool has_parameters(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (!node.layer->loaded_parameters().empty()) return true;
  }
  return false;
}

}  // namespace

void add_model_argument(CLI::App& command, ModelOptions& options) {
  command.add_option("MODEL", options.model, "Model file (YAML; the keys are in graphs/README.md)")
      ->type_name("")
      ->required();
}

void add_threads_option(CLI::App& command, int& threads) {
  command.add_option("--threads", threads, "CPU threads [default: all that the machine has]")
      ->type_name("N")
      ->check(CLI::Range(1, 1024).description(""));
}

void add_model_options(CLI::App& command, ModelOptions& options) {
  add_model_argument(command, options);
  add_device_option(command, options.device);
  command
      .add_option("--precision", options.precision,
                  "Arithmetic on a GPU: fp32, tf32, fp16 or bf16; a CPU has fp32")
      ->type_name("NAME")
      ->check(precision_name())
      ->capture_default_str();
  add_threads_option(command, options.threads);
  add_no_fuse_option(command, options.no_fuse);
  add_kernel_option(command, options.kernel);
}

void add_device_option(CLI::App& command, std::string& device) {
  command
      .add_option("--device", device,
                  "auto (the first GPU, else the CPU), cpu, or a GPU such as cuda:0")
      ->type_name("NAME")
      ->check(device_name())
      ->capture_default_str();
}

void add_no_fuse_option(CLI::App& command, bool& no_fuse) {
  command.add_flag("--no-fuse", no_fuse,
                   "Run every layer by itself: no batch norm folded, nothing fused");
}

void add_kernel_option(CLI::App& command, std::string& kernel) {
  command
      .add_option("--kernel", kernel,
                  "The Conv1d kernel to take wherever it can, in place of the engine's choice")
      ->type_name("NAME")
      ->check(kernel_name());
}

void add_size_option(CLI::App& command, Sizes& sizes) {
  const auto read = [&sizes](const std::vector<std::string>& arguments) {
    for (const std::string& argument : arguments) {
      std::string name;
      int64_t size = 0;
      if (!parse_size(argument, name, size)) {
        throw CLI::ValidationError("--size", fmt::format("'{}' is not NAME=NUMBER with a number of "
                                                         "at least 1, such as length=16000",
                                                         argument));
      }
      sizes[name] = size;
    }
    return true;
  };
  command
      .add_option("--size", CLI::callback_t(read),
                  "Another size than the model's typical one (repeatable)")
      ->type_name("NAME=NUMBER")
      ->allow_extra_args(false)
      ->expected(1, CLI::detail::expected_max_vector_size);
}

CLI::Validator device_name() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        try {
          Device::parse(text);
        } catch (const Error& error) {
          if (error.kind() == ErrorKind::kInvalidArgument) return error.what();
        }
        return "";
      },
      "");
}

CLI::Validator precision_name() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        try {
          parse_precision(text);
        } catch (const Error& error) {
          return error.what();
        }
        return "";
      },
      "");
}

CLI::Validator kernel_name() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        std::vector<std::string> names;
        for (const Conv1dKernel& kernel : conv1d_kernels()) names.emplace_back(kernel.name);
        if (std::find(names.begin(), names.end(), text) != names.end()) return "";
        return fmt::format("unknown kernel '{}'; there are {}", text, fmt::join(names, ", "));
      },
      "");
}

LoadedModel load_model(const ModelOptions& options) {
  const EngineOptions engine_options{Device::parse(options.device),
                                     parse_precision(options.precision),
                                     options.threads,
                                     !options.no_fuse,
                                     options.check_finite,
                                     options.kernel};
  const Progress progress("loading " + options.model);
  ModelSpec spec = read_model(options.model);
  Engine engine = Engine::from_spec(spec, engine_options);
  if (spec.weights_path.empty() && has_parameters(engine.state()->graph)) {
    note(fmt::format("{} names no weight file; its weights are random", options.model));
  }
  return {std::move(spec), std::move(engine)};
}

std::vector<Shape> input_shapes(const Engine& engine, const Sizes& sizes) {
  const EngineState& state = *engine.state();
  std::vector<Shape> shapes = state.typical_shapes();
  std::vector<std::string> known;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const std::vector<SizeSpec>& declared = state.graph.inputs[i].spec.shape;
    for (size_t d = 0; d < declared.size(); ++d) {
      if (!declared[d].is_named()) continue;
      known.push_back(declared[d].name);
      const auto size = sizes.find(declared[d].name);
      if (size != sizes.end()) shapes[i][d] = size->second;
    }
  }
  for (const auto& [name, size] : sizes) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("--size {}={}: no input of '{}' has a size of that name{}", name,
                              size, engine.name(), did_you_mean(name, known)));
    }
  }
  return shapes;
}

}  // namespace engine::cli
