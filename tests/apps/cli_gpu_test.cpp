// The program on a GPU, end to end.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/apps/program.h"
#include "tests/support/gpu.h"
#include "tests/support/temporary_folder.h"

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

TEST_CASE("bench --conv1d: every kernel on the GPU is right in every precision") {
  if (!has_gpu()) return;
  const TemporaryFolder folder;
  const std::string suite = folder.write(
      "suite.csv",
      "name,batch,in_channels,out_channels,kernel_size,stride,padding,dilation,groups,length,"
      "transposed\n"
      "plain,4,64,128,3,1,0,1,1,1003,0\n"
      "strided,1,6,10,5,3,4,2,2,101,0\n"
      "depthwise,3,256,256,7,1,3,1,256,3001,0\n"
      "transposed,2,32,64,5,3,2,2,1,400,1\n");
  const ProgramResult result = run_program(
      "bench --device cuda:0 --all-kernels --seconds 0 --json --conv1d " + shell_quoted(suite));
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  const json report = json::parse(result.out);
  CHECK(report["measurements"].size() >= 16);
  for (const json& measured : report["measurements"]) {
    CAPTURE(measured.dump());
    const bool is_bf16 = measured["precision"] == "bf16";
    CHECK(measured["relative_error"] < (measured["precision"] == "fp32" ? 1e-6
                                        : is_bf16                       ? 4e-3
                                                                        : 1e-3));
  }
}

TEST_CASE("out of GPU memory is one line") {
  if (!has_gpu()) return;
  expect_failure("bench graphs/tcn.yaml --device cuda:0 --size length=400000000", {"memory"});
}
