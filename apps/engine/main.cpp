// The command-line program. Exit codes: 0 done, 1 failed, 2 not understood.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "apps/engine/commands.h"
#include "apps/engine/console.h"
#include "engine/model/nearest_name.h"

namespace {

constexpr int kFailure = 1;
constexpr int kUsageError = 2;

constexpr const char* kDescription =
    "Runs 1-D convolutional networks on the CPU and on NVIDIA GPUs.\n"
    "Exit codes: 0 done, 1 failed, 2 command line not understood.";

constexpr const char* kExamples =
    "Examples:\n"
    "  engine run graphs/keywords.yaml --input weights/keywords/samples/yes.wav\n"
    "  engine info graphs/keywords.yaml\n"
    "  engine bench graphs/tcn.yaml --size length=65536 --device cuda:0\n"
    "  engine compare graphs/m5.yaml\n"
    "`engine COMMAND --help` tells more of each.";

// What was wrong, and where help is. CLI11 says of "engine rum" only that a command is missing.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error, const char* first) {
  const auto commands = app.get_subcommands();
  if (!commands.empty()) {
    return fmt::format("{}; see `engine {} --help`", error.what(), commands.front()->get_name());
  }
  if (!first) return "a command is missing; see `engine --help`";
  if (first[0] == '-') return fmt::format("{}; see `engine --help`", error.what());
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return fmt::format("unknown command '{}'{}; see `engine --help`", first,
                     engine::did_you_mean(first, names));
}

int run_program(int argc, char** argv) {
  CLI::App app(kDescription, "engine");
  app.footer(kExamples);
  app.set_version_flag("--version", "engine " ENGINE_VERSION);
  app.require_subcommand(1);
  int exit_code = 0;
  engine::cli::add_run_command(app, exit_code);
  engine::cli::add_info_command(app, exit_code);
  engine::cli::add_bench_command(app, exit_code);
  engine::cli::add_compare_command(app, exit_code);
  engine::cli::add_init_command(app, exit_code);
  engine::cli::add_devices_command(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    engine::cli::print_error(usage_message(app, error, argc > 1 ? argv[1] : nullptr));
    return kUsageError;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  engine::cli::prepare_console();
  try {
    return run_program(argc, argv);
  } catch (const std::bad_alloc&) {
    engine::cli::print_error("out of memory");
  } catch (const std::exception& error) {
    engine::cli::print_error(error.what());
  }
  return kFailure;
}
