#include "tests/apps/program.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

namespace engine::test {
namespace {

void expect_error_line(const ProgramResult& result, int exit_code,
                       const std::vector<std::string>& parts) {
  CHECK(result.exit_code == exit_code);
  CHECK(result.out == "");
  CHECK(result.err.ends_with('\n'));
  const size_t start = result.err.find("engine: error: ");
  REQUIRE(start != std::string::npos);
  const std::string line = result.err.substr(start);
  CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  for (const std::string& part : parts) {
    CAPTURE(part);
    CHECK(line.find(part) != std::string::npos);
  }
}

}  // namespace

ProgramResult run_shell(const std::string& command) {
  const TemporaryFolder folder;
  const std::string folder_of_program = program_path().parent_path();
  const std::string line =
      fmt::format("cd {} && export PATH={}:\"$PATH\" && ( {} ) >{} 2>{} </dev/null",
                  shell_quoted(source_path("")), shell_quoted(folder_of_program), command,
                  folder.file("out"), folder.file("err"));
  const int status = std::system(line.c_str());
  const int exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {exit_code, read_bytes(folder.file("out")), read_bytes(folder.file("err"))};
}

ProgramResult run_program(const std::string& arguments) { return run_shell("engine " + arguments); }

void expect_failure(const std::string& arguments, const std::vector<std::string>& parts) {
  const ProgramResult result = run_program(arguments);
  CAPTURE(arguments);
  CAPTURE(result.err);
  expect_error_line(result, 1, parts);
}

void expect_usage_error(const std::string& arguments, const std::string& part) {
  const ProgramResult result = run_program(arguments);
  CAPTURE(arguments);
  CAPTURE(result.err);
  expect_error_line(result, 2, {part});
}

std::string shell_quoted(const std::string& path) { return "'" + path + "'"; }

}  // namespace engine::test
