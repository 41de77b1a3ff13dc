// engine info, bench and compare, end to end.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/apps/program.h"
#include "tests/support/temporary_folder.h"

using namespace engine::test;
using nlohmann::json;

namespace {

constexpr const char* kModel = R"(
format: 1
name: small
inputs:
  x: {dtype: f32, shape: [batch, 2, length], sample_rate: 1000}
sizes: {batch: 1, length: 100}
layers:
  - {name: conv, type: Conv1d, out_channels: 4, kernel_size: 5, stride: 2}
  - {name: norm, type: BatchNorm1d}
  - {name: act, type: ReLU}
  - {name: unused, type: Tanh, inputs: [conv]}
  - {name: wide, type: Conv1d, inputs: [act], out_channels: 4, kernel_size: 3, dilation: 4, padding: same}
  - {name: sum, type: Add, inputs: [wide, act]}
  - {name: mean, type: AdaptiveAvgPool1d, output_size: 1}
outputs: {y: mean}
)";

constexpr const char* kGraphs[] = {"conv1d_headline", "keywords", "m5", "tcn"};

ProgramResult run_on_small(const std::string& arguments) {
  const TemporaryFolder folder;
  const std::string model = shell_quoted(folder.write("small.yaml", kModel));
  return run_program(fmt::format(fmt::runtime(arguments), model));
}

json find_layer(const json& report, const std::string& name) {
  for (const json& layer : report["layers"]) {
    if (layer["name"] == name) return layer;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("info --json: shapes, parameters, FLOPs, bytes and receptive fields") {
  const ProgramResult result = run_on_small("info {} --json --no-fuse --device cpu");
  REQUIRE(result.exit_code == 0);
  const json report = json::parse(result.out);
  CHECK(report["model"] == "small");
  CHECK(report["device"] == "cpu");
  CHECK(report["inputs"][0]["shape"] == json({1, 2, 100}));
  CHECK(report["outputs"][0]["shape"] == json({1, 4, 1}));
  CHECK(report["dead_layers"] == json({"unused"}));
  CHECK(report["fused_layers"] == json::array());
  const json conv = find_layer(report, "conv");
  CHECK(conv["outputs"][0]["shape"] == json({1, 4, 48}));
  CHECK(conv["parameters"] == 4 * 2 * 5 + 4);
  CHECK(conv["flops"] >= 2 * 4 * 2 * 5 * 48);
  CHECK(conv["bytes"] == 4 * (2 * 100 + 44 + 4 * 48));
  CHECK(conv["receptive_field"] == 5);
  CHECK(find_layer(report, "act")["receptive_field"] == 5);
  // 2 * 4 positions of 2 samples each further on either side, merged with the branch that has 5.
  CHECK(find_layer(report, "wide")["receptive_field"] == 5 + 8 * 2);
  CHECK(find_layer(report, "sum")["receptive_field"] == 21);
  CHECK(find_layer(report, "mean")["receptive_field"] == nullptr);
  CHECK(report["arena_bytes"] > 0);
  CHECK(report["arena_bytes_without_overlap"] > report["arena_bytes"]);
}

TEST_CASE("info: --size changes the shapes, fusing is reported") {
  const ProgramResult result =
      run_on_small("info {} --json --device cpu --size length=200 --size batch=3");
  REQUIRE(result.exit_code == 0);
  const json report = json::parse(result.out);
  CHECK(report["inputs"][0]["shape"] == json({3, 2, 200}));
  CHECK(report["fused_layers"].size() >= 1);
}

TEST_CASE("info: the table lines up, and holds totals") {
  const ProgramResult result = run_on_small("info {} --device cpu");
  REQUIRE(result.exit_code == 0);
  for (const std::string part :
       {"small on cpu in fp32; x f32 [1, 2, 100] at 1000 Hz", "\nlayer ", "\ntotal ",
        "\nreceptive field  the whole input from 'mean' on; 21 samples (21.0 ms) before\n",
        "\narena ", "\nfused ", "\ndead layers      unused\n"}) {
    CAPTURE(part);
    CHECK(result.out.find(part) != std::string::npos);
  }
}

TEST_CASE("info --dot: a graph with an edge for each use of a value") {
  const ProgramResult result = run_on_small("info {} --dot --no-fuse --device cpu");
  REQUIRE(result.exit_code == 0);
  CHECK(result.out.starts_with("digraph \"small\" {"));
  CHECK(result.out.find("[label=\"conv (Conv1d)\"]") != std::string::npos);
  CHECK(result.out.find("input0 -> layer0 [label=\"[1, 2, 100]\"]") != std::string::npos);
}

TEST_CASE("info: the tables of chains of convolutions fit 100 columns") {
  for (const std::string graph : {"conv1d_headline", "tcn"}) {
    const ProgramResult result = run_program("info --device cpu graphs/" + graph + ".yaml");
    CAPTURE(graph);
    REQUIRE(result.exit_code == 0);
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      CHECK(line.size() <= 100);
    }
  }
}

TEST_CASE("bench --json: latencies in order, every layer's share, times real time") {
  const ProgramResult result = run_on_small("bench {} --json --device cpu --runs 7 --warmup 0");
  REQUIRE(result.exit_code == 0);
  const json report = json::parse(result.out);
  CHECK(report["runs"] == 7);
  const json latency = report["latency_seconds"];
  CHECK(latency["min"] > 0.0);
  CHECK(latency["min"] <= latency["p50"]);
  CHECK(latency["p50"] <= latency["p90"]);
  CHECK(latency["p90"] <= latency["p99"]);
  CHECK(latency["p99"] <= latency["max"]);
  double share = 0.0;
  for (const json& layer : report["layers"]) share += layer["share"].get<double>();
  CHECK(share == doctest::Approx(1.0));
  // 0.1 s of signal for each input.
  CHECK(report["times_real_time"].get<double>() ==
        doctest::Approx(0.1 * report["inputs_per_second"].get<double>()));
}

TEST_CASE("bench: a table, and a trace whose events follow each other") {
  const TemporaryFolder folder;
  const std::string trace_path = folder.file("trace.json");
  const ProgramResult result = run_on_small(
      fmt::format("bench {{}} --device cpu --runs 2 --warmup 0 --trace '{}'", trace_path));
  REQUIRE(result.exit_code == 0);
  CHECK(result.out.find("\nlatency          p50 ") != std::string::npos);
  const json trace = json::parse(read_bytes(trace_path));
  double end = 0.0;
  int events = 0;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    CHECK(event["ts"].get<double>() == doctest::Approx(end));
    end = event["ts"].get<double>() + event["dur"].get<double>();
    ++events;
  }
  CHECK(events >= 3);
}

TEST_CASE("compare: every shipped graph agrees with the reference on the CPU") {
  for (const std::string graph : kGraphs) {
    CAPTURE(graph);
    // The headline convolution at a size that the reference takes little time for.
    const std::string sizes =
        graph == "conv1d_headline" ? " --size length=2048 --size batch=2" : "";
    const ProgramResult result =
        run_program("compare --device cpu graphs/" + graph + ".yaml" + sizes);
    CAPTURE(result.out);
    CHECK(result.exit_code == 0);
    CHECK(result.out.ends_with(
        "fp32 on cpu: agrees with the reference within a relative L2 of 1e-04\n"));
  }
}

TEST_CASE("compare: names the first value that departs, and exits with 1") {
  const ProgramResult result = run_on_small("compare {} --device cpu --tolerance 1e-12");
  CHECK(result.exit_code == 1);
  CHECK(result.out.find("fp32 on cpu: departs first at 'conv' (Conv1d): relative L2 ") !=
        std::string::npos);
}

TEST_CASE("compare: says where it compares at smaller sizes than the model's") {
  const ProgramResult result = run_program(
      "compare --device cpu graphs/conv1d_headline.yaml --size length=64 --size batch=1");
  CHECK(result.err.find("smaller sizes") == std::string::npos);
}
