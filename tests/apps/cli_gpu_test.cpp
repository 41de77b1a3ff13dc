// The program on a GPU, end to end.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/apps/program.h"
#include "tests/support/gpu.h"

using namespace engine::test;
using nlohmann::json;

TEST_CASE("run: the shipped model hears a word on the GPU, in every precision") {
  if (!has_gpu()) return;
  for (const std::string precision : {"fp32", "tf32", "fp16", "bf16"}) {
    CAPTURE(precision);
    const ProgramResult result = run_program(
        "run graphs/keywords.yaml --input weights/keywords/samples/yes.wav --top 1 "
        "--device cuda:0 --precision " +
        precision);
    CHECK(result.exit_code == 0);
    CHECK(result.out.find("\nyes ") != std::string::npos);
  }
}

TEST_CASE("compare: every shipped graph agrees with the reference on the GPU") {
  if (!has_gpu()) return;
  for (const std::string graph : {"conv1d_headline", "keywords", "m5", "tcn"}) {
    CAPTURE(graph);
    const std::string sizes =
        graph == "conv1d_headline" ? " --size length=2048 --size batch=2" : "";
    const ProgramResult result =
        run_program("compare --device cuda:0 graphs/" + graph + ".yaml" + sizes);
    CAPTURE(result.out);
    CHECK(result.exit_code == 0);
  }
}

TEST_CASE("bench: every layer has a time on the GPU") {
  if (!has_gpu()) return;
  const ProgramResult result =
      run_program("bench graphs/keywords.yaml --device cuda:0 --runs 20 --json");
  REQUIRE(result.exit_code == 0);
  const json report = json::parse(result.out);
  CHECK(report["device"] == "cuda:0");
  CHECK(report["latency_seconds"]["p50"] > 0.0);
  double seconds = 0.0;
  for (const json& layer : report["layers"]) seconds += layer["seconds"].get<double>();
  CHECK(seconds > 0.0);
}

TEST_CASE("out of GPU memory is one line") {
  if (!has_gpu()) return;
  expect_failure("bench graphs/tcn.yaml --device cuda:0 --size length=1000000000", {"memory"});
}
