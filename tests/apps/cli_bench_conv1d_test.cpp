// engine bench --conv1d and the --kernel of models, end to end.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "layers/conv1d/conv1d_select.h"
#include "tests/apps/program.h"
#include "tests/support/gpu.h"
#include "tests/support/temporary_folder.h"

using namespace engine;
using namespace engine::test;
using nlohmann::json;

namespace {

// Strided, dilated, padded, grouped, depthwise, transposed, long, of one position and of more
// channels, each small.
constexpr const char* kSuite =
    "name,batch,in_channels,out_channels,kernel_size,stride,padding,dilation,groups,length,"
    "transposed\n"
    "plain,2,8,12,3,1,1,1,1,100,0\n"
    "strided,1,6,10,5,3,4,2,2,101,0\n"
    "depthwise,3,16,16,7,1,3,1,16,65,0\n"
    "transposed,2,8,12,5,3,2,2,4,40,1\n"
    "long,1,1,2,150,1,0,1,1,400,0\n"
    "single,5,40,12,3,1,1,1,1,1,0\n"
    "wide,1,40,12,3,1,1,1,1,90,0\n";

json run_suite(const std::string& arguments) {
  const TemporaryFolder folder;
  const std::string suite = shell_quoted(folder.write("suite.csv", kSuite));
  const ProgramResult result =
      run_program(fmt::format("bench --conv1d {} --seconds 0 --json {}", suite, arguments));
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  return json::parse(result.out);
}

}  // namespace

TEST_CASE("bench --conv1d: every case once, by the kernel that the table chooses, and right") {
  const json report = run_suite("--device cpu");
  REQUIRE(report["measurements"].size() == 7);
  CHECK(report["copy_bytes_per_second"] > 0.0);
  CHECK(report["matrix_flops_per_second"]["fp32"] > 0.0);
  for (const json& measured : report["measurements"]) {
    CAPTURE(measured.dump());
    CHECK(measured["chosen"] == true);
    CHECK(measured["seconds"] > 0.0);
    CHECK(measured["relative_error"] > 0.0);
    CHECK(measured["relative_error"] < 1e-6);
    CHECK(measured["roofline_share"].get<double>() ==
          doctest::Approx(measured["roofline_seconds"].get<double>() /
                          measured["seconds"].get<double>()));
  }
  CHECK(report["measurements"][0]["bytes"] == 4 * (2 * 8 * 100 + 2 * 12 * 100 + 12 * 8 * 3 + 12));
  CHECK(report["measurements"][0]["flops"] == 2 * 2 * 12 * 100 * 8 * 3);
  // A transposed convolution multiplies every input by every tap.
  CHECK(report["measurements"][3]["flops"] == 2 * 2 * 8 * 40 * 3 * 5);
}

TEST_CASE("bench --conv1d --all-kernels: every row that can compute a case, one of them chosen") {
  const json report = run_suite("--device cpu --all-kernels --shape transposed,long,single,wide");
  std::set<std::string> kernels;
  int chosen = 0;
  for (const json& measured : report["measurements"]) {
    kernels.insert(measured["kernel"].get<std::string>());
    chosen += measured["chosen"].get<bool>() ? 1 : 0;
    CHECK(measured["relative_error"] < 1e-6);
  }
  const auto names = conv1d_kernel_names(Device::Type::kCpu);
  CHECK(kernels == std::set<std::string>(names.begin(), names.end()));
  CHECK(chosen == 4);
}

TEST_CASE("bench --conv1d --kernel: the kernel asked for, where it can") {
  const json report = run_suite("--device cpu --kernel conv1d_direct_cpu --shape plain");
  REQUIRE(report["measurements"].size() == 1);
  CHECK(report["measurements"][0]["kernel"] == "conv1d_direct_cpu");
}

TEST_CASE("bench --conv1d: a table, and a CSV file with a row for each line of it") {
  const TemporaryFolder folder;
  const std::string suite = shell_quoted(folder.write("suite.csv", kSuite));
  const std::string csv_path = folder.file("results.csv");
  const ProgramResult result =
      run_program(fmt::format("bench --conv1d {} --device cpu --seconds 0 --csv {} --all-kernels",
                              suite, shell_quoted(csv_path)));
  CAPTURE(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(result.out.find("; multiply-adds fp32 ") != std::string::npos);
  CHECK(result.out.find("the chosen kernel is within 10 % of the best on") != std::string::npos);
  std::istringstream lines(read_bytes(csv_path));
  std::string heading;
  std::getline(lines, heading);
  const auto commas = std::count(heading.begin(), heading.end(), ',');
  int rows = 0;
  for (std::string line; std::getline(lines, line); ++rows) {
    CAPTURE(line);
    CHECK(std::count(line.begin(), line.end(), ',') == commas);
  }
  CHECK(rows >= 8);
}

TEST_CASE("bench --random: cases by seed") {
  // The first cases of a seed may be large; the name alone says that they are drawn.
  expect_failure("bench --random 3 --seed 2 --device cpu --shape random_2_3",
                 {"--shape random_2_3: no case of that name", "random_2_"});
}

TEST_CASE("bench --conv1d: what does not fit together") {
  expect_usage_error("bench", "MODEL, --conv1d or --random");
  expect_usage_error("bench graphs/m5.yaml --conv1d bench/conv1d_gpu.csv", "--conv1d");
  expect_usage_error("bench --conv1d bench/conv1d_gpu.csv --trace t.json", "--trace");
  expect_usage_error("bench --random 0", "--random");
  expect_usage_error("bench graphs/m5.yaml --precision fp32,fp16", "--precision");
  expect_usage_error("bench graphs/m5.yaml --all-kernels", "--all-kernels");
  expect_usage_error("bench --conv1d bench/conv1d_cpu.csv --kernel conv1d_cpu",
                     "unknown kernel 'conv1d_cpu'; there are conv1d_");
  expect_failure("bench --conv1d none.csv --device cpu", {"none.csv", "No such file or directory"});
  expect_failure("bench --conv1d graphs/m5.yaml --device cpu", {"graphs/m5.yaml:1: ", "heading"});
  expect_failure("bench --conv1d bench/conv1d_cpu.csv --device cpu --precision fp16",
                 {"fp32 only"});
  expect_failure("bench --conv1d bench/conv1d_cpu.csv --device cpu --shape m5_k80",
                 {"no case of that name", "did you mean 'm5_k80s4'?"});
}

TEST_CASE("info --kernels: the kernel of each layer with a choice, and why; --kernel overrules") {
  const ProgramResult chosen = run_program("info graphs/m5.yaml --device cpu --kernels");
  CHECK(chosen.exit_code == 0);
  CHECK(chosen.out.find("\nconv1 (Conv1d) [1, 1, 8000] -> [1, 32, 496]\n  kernel ") !=
        std::string::npos);
  CHECK(chosen.out.find("predicted us: conv1d_") != std::string::npos);
  const ProgramResult asked =
      run_program("info graphs/m5.yaml --device cpu --kernels --kernel conv1d_direct_cpu");
  CHECK(asked.exit_code == 0);
  CHECK(
      asked.out.find("  kernel         conv1d_direct_cpu\n  why            asked for by name\n") !=
      std::string::npos);
  expect_usage_error("info graphs/m5.yaml --kernels --json", "--json");
}
