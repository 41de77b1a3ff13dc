// The commands of the program: one function, and one file, for each.
#pragma once

#include <CLI/CLI.hpp>

namespace engine::cli {

// Each adds its command to `app`. Where the command line asks for it, the command runs while the
// line is parsed, and puts what the program is to return into `exit_code`.
void add_run_command(CLI::App& app, int& exit_code);
void add_info_command(CLI::App& app, int& exit_code);
void add_bench_command(CLI::App& app, int& exit_code);
void add_compare_command(CLI::App& app, int& exit_code);
void add_init_command(CLI::App& app, int& exit_code);
void add_devices_command(CLI::App& app, int& exit_code);

}  // namespace engine::cli
