// The built `engine` program, run as a user runs it.
#pragma once

#include <string>
#include <vector>

namespace engine::test {

struct ProgramResult {
  int exit_code = 0;  ///< 128 + signal where one ended it
  std::string out;
  std::string err;
};

/// Runs a command through the shell from the top of the source tree, with an empty stdin and
/// `engine` in the path.
ProgramResult run_shell(const std::string& command);

/// Runs `engine ARGUMENTS`, likewise.
ProgramResult run_program(const std::string& arguments);

/// Expects exit code 1, nothing on stdout, and one line "engine: error: ..." on stderr that
/// contains every one of `parts`. Lines of notes may stand before it.
void expect_failure(const std::string& arguments, const std::vector<std::string>& parts);

/// Expects exit code 2 and one such line.
void expect_usage_error(const std::string& arguments, const std::string& part);

/// `path` in single quotes for the shell.
std::string shell_quoted(const std::string& path);

}  // namespace engine::test
