// The command line itself: help, version, what it does not understand; devices and init.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "engine/cuda/runtime.h"
#include "engine/model/weight_file.h"
#include "tests/apps/program.h"
#include "tests/support/temporary_folder.h"

using namespace engine;
using namespace engine::test;

namespace {

constexpr const char* kModel = R"(
format: 1
name: small
weights: small.safetensors
inputs:
  x: {dtype: f32, shape: [batch, 2, length]}
sizes: {batch: 1, length: 16}
layers:
  - {name: conv, type: Conv1d, out_channels: 3, kernel_size: 3}
outputs: {y: conv}
)";

constexpr const char* kModelWithoutWeights = R"(
format: 1
name: bare
inputs:
  x: {dtype: f32, shape: [batch, 2, length]}
sizes: {batch: 1, length: 16}
layers:
  - {name: conv, type: Conv1d, out_channels: 3, kernel_size: 3}
outputs: {y: conv}
)";

constexpr const char* kCommands[] = {"run", "info", "bench", "compare", "init", "devices"};

}  // namespace

TEST_CASE("engine --help names every command, and each has help with an example") {
  const ProgramResult all = run_program("--help");
  CHECK(all.exit_code == 0);
  CHECK(all.err == "");
  for (const std::string command : kCommands) {
    CAPTURE(command);
    CHECK(all.out.find("\n  " + command) != std::string::npos);
    const ProgramResult one = run_program(command + " --help");
    CHECK(one.exit_code == 0);
    CHECK(one.err == "");
    CHECK(one.out.find("  engine " + command) != std::string::npos);
  }
}

TEST_CASE("engine --version") {
  const ProgramResult result = run_program("--version");
  CHECK(result.exit_code == 0);
  CHECK(result.out.starts_with("engine 0."));
}

TEST_CASE("what is not understood is a usage error") {
  expect_usage_error("", "command");
  expect_usage_error("rum", "rum");
  expect_usage_error("run", "--help");
  expect_usage_error("run graphs/keywords.yaml", "--input");
  expect_usage_error("info graphs/keywords.yaml --jsn", "--jsn");
  expect_usage_error("info graphs/keywords.yaml --device gpu", "unknown device 'gpu'");
  expect_usage_error("info graphs/keywords.yaml --precision fp64", "fp64");
  expect_usage_error("info graphs/keywords.yaml --json --dot", "--dot");
  expect_usage_error("info graphs/keywords.yaml --size length", "'length' is not NAME=NUMBER");
  expect_usage_error("info graphs/keywords.yaml --size length=-1", "length=-1");
  expect_usage_error("info graphs/keywords.yaml --size length=1e9", "length=1e9");
  expect_usage_error("run graphs/keywords.yaml --input x.wav --top 0", "--top");
  expect_usage_error("run graphs/keywords.yaml --input x.wav --threads -2", "--threads");
  expect_usage_error("run graphs/keywords.yaml --input x.wav --output y.txt", "y.txt");
  expect_usage_error("bench graphs/keywords.yaml --runs 0", "--runs");
  expect_usage_error("bench graphs/keywords.yaml --runs 1 --seconds 1", "--seconds");
  expect_usage_error("compare graphs/keywords.yaml --precision fp32,int8", "int8");
  expect_usage_error("compare graphs/keywords.yaml --tolerance 0", "--tolerance");
  expect_usage_error("init graphs/keywords.yaml --seed x", "--seed");
}

TEST_CASE("engine devices lists the CPU, and says why there is no GPU") {
  const ProgramResult result = run_program("devices");
  CHECK(result.exit_code == 0);
  CHECK(result.out.find("\ncpu ") != std::string::npos);
  if (cuda::device_count() == 0) {
    CHECK(result.err == "engine: note: " + cuda::why_no_device() + "\n");
  } else {
    CHECK(result.out.find("\ncuda:0 ") != std::string::npos);
  }
}

TEST_CASE("engine init writes what the model then loads, the same for the same seed") {
  const TemporaryFolder folder;
  const std::string model = shell_quoted(folder.write("small.yaml", kModel));
  expect_failure("info " + model, {"small.safetensors", "engine init"});

  const ProgramResult made = run_program("init " + model);
  CHECK(made.exit_code == 0);
  CHECK(made.out.ends_with("small.safetensors: 2 tensors, 21 parameters, seed 0\n"));
  CHECK(made.err == "");
  CHECK(run_program("info " + model).exit_code == 0);
  const std::string first = read_bytes(folder.file("small.safetensors"));

  const std::string again = shell_quoted(folder.file("again.safetensors"));
  CHECK(run_program("init " + model + " --seed 0 --output " + again).exit_code == 0);
  CHECK(read_bytes(folder.file("again.safetensors")) == first);
  CHECK(run_program("init " + model + " --seed 1 --force --output " + again).exit_code == 0);
  CHECK(read_bytes(folder.file("again.safetensors")) != first);

  const WeightFile weights = WeightFile::open(folder.file("small.safetensors"));
  REQUIRE(weights.find("conv.weight") != nullptr);
  CHECK(weights.find("conv.weight")->shape() == Shape{3, 2, 3});
}

TEST_CASE("engine init overwrites nothing unless told to") {
  const TemporaryFolder folder;
  const std::string model = shell_quoted(folder.write("small.yaml", kModel));
  folder.write("small.safetensors", "precious");
  expect_failure("init " + model, {"small.safetensors' exists", "--force"});
  CHECK(read_bytes(folder.file("small.safetensors")) == "precious");
  CHECK(run_program("init " + model + " --force").exit_code == 0);
  CHECK(read_bytes(folder.file("small.safetensors")) != "precious");
}

TEST_CASE("engine init asks where to write for a model that names no weights") {
  const TemporaryFolder folder;
  const std::string model = shell_quoted(folder.write("bare.yaml", kModelWithoutWeights));
  expect_failure("init " + model, {"names no weight file", "--output"});
  expect_failure("init " + model + " --output " + shell_quoted(folder.file("none/w.safetensors")),
                 {"none/w.safetensors", "No such file or directory"});
}

TEST_CASE("a model without weights runs with random ones, and says so") {
  const TemporaryFolder folder;
  const std::string model = shell_quoted(folder.write("bare.yaml", kModelWithoutWeights));
  const ProgramResult result = run_program("info --device cpu " + model);
  CHECK(result.exit_code == 0);
  CHECK(result.err.find("its weights are random") != std::string::npos);
}

TEST_CASE("a reader that goes away, or a closed stream, is no failure; a full disk is") {
  const std::string info = "engine info --device cpu --json graphs/keywords.yaml";
  CHECK(run_shell("( " + info + "; echo $? >&2 ) | head -c 1").err == "0\n");
  CHECK(run_shell(info + " >&-").exit_code == 0);
  CHECK(run_shell(info + " <&- >&- 2>&-").exit_code == 0);
  const ProgramResult full = run_shell(info + " >/dev/full");
  CHECK(full.exit_code == 1);
  CHECK(full.err == "engine: error: cannot write the result: No space left on device\n");
}
