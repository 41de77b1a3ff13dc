// Suite files and random cases of `engine bench --conv1d`.
#include "apps/engine/conv1d_suite.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <set>
#include <string>

#include "layers/conv1d/conv1d_select.h"
#include "tests/support/expect_error.h"
#include "tests/support/paths.h"
#include "tests/support/temporary_folder.h"

using namespace engine;
using namespace engine::cli;
using namespace engine::test;

namespace {

const std::string kHeading =
    "name,batch,in_channels,out_channels,kernel_size,stride,padding,dilation,groups,length";

std::vector<Conv1dCase> read(const std::string& text) {
  const TemporaryFolder folder;
  return read_conv1d_suite(folder.write("suite.csv", text));
}

// Expects reading `text` to fail with "<path>:<line>: <message>".
void expect_failure_at(const std::string& text, int line, const std::string& message) {
  const TemporaryFolder folder;
  const std::string path = folder.write("suite.csv", text);
  expect_error([&] { read_conv1d_suite(path); }, ErrorKind::kInvalidArgument,
               fmt::format("{}:{}: {}", path, line, message));
}

void expect_row_failure(const std::string& row, const std::string& message) {
  expect_failure_at(kHeading + "\n" + row + "\n", 2, message);
}

}  // namespace

TEST_CASE("suite: sizes, and the output length that follows") {
  const auto cases = read(kHeading + "\na,2,6,8,3,2,1,4,2,100\n");
  REQUIRE(cases.size() == 1);
  const Conv1dProblem& p = cases[0].problem;
  CHECK(cases[0].name == "a");
  CHECK(to_string(p) ==
        "Conv1d fp32 x [2, 6, 100] w [8, 3, 3] y [2, 8, 47] stride 2 padding 1+1 zeros dilation 4 "
        "groups 2 bias then Identity");
}

TEST_CASE(
    "suite: transposed, columns in another order, columns of no interest, empty lines, CRLF") {
  const auto cases = read(
      "\r\ntransposed,note,length,groups,dilation,padding,stride,kernel_size,out_channels,"
      "in_channels,batch,name\r\n\r\n1,up,100,1,2,1,2,3,64,32,16,u\r\n0,,100,1,1,0,1,1,1,1,1,"
      "v\r\n");
  REQUIRE(cases.size() == 2);
  CHECK(cases[0].problem.transposed);
  CHECK(cases[0].problem.out_length == 99 * 2 + 5 - 2);
  CHECK(cases[0].problem.out_channels == 64);
  CHECK_FALSE(cases[1].problem.transposed);
}

TEST_CASE("suite: what is wrong, where, and what was expected") {
  expect_failure_at("name,batch\n", 1,
                    "the heading has no column 'in_channels'; expected " + kHeading);
  expect_row_failure("a,2,6,8", "4 cells, expected 10 as in the heading");
  expect_row_failure("a,2,6,8,3,1,0,1,1,100,7", "11 cells, expected 10 as in the heading");
  expect_row_failure(",2,6,8,3,1,0,1,1,100", "name is empty");
  expect_row_failure("a,2,6,8,3,0,0,1,1,100",
                     "stride is '0', expected a whole number from 1 to 1073741824");
  expect_row_failure("a,2,6,8,3,1,-1,1,1,100",
                     "padding is '-1', expected a whole number from 0 to 1073741824");
  expect_row_failure("a,2.5,6,8,3,1,0,1,1,100",
                     "batch is '2.5', expected a whole number from 1 to 1073741824");
  expect_row_failure("a,,6,8,3,1,0,1,1,100",
                     "batch is '', expected a whole number from 1 to 1073741824");
  expect_row_failure("a,2,6,8,3,1,0,1,4,100",
                     "4 groups, expected a divisor of in_channels 6 and out_channels 8");
  expect_row_failure("a,2,6,8,9,1,1,2,1,14",
                     "the output length is 0, expected at least 1 (length 14, kernel_size 9, "
                     "dilation 2, padding 1)");
  expect_failure_at(kHeading + ",transposed\na,2,6,8,3,1,0,1,1,100,yes\n", 2,
                    "transposed is 'yes', expected a whole number from 0 to 1");
  expect_failure_at(kHeading + "\na,2,6,8,3,1,0,1,1,100\n\na,2,6,8,3,1,0,1,1,100\n", 4,
                    "a second case named 'a'");
  CHECK(error_of([] { read("\n"); })->kind() == ErrorKind::kInvalidArgument);
  CHECK(error_of([] { read(kHeading + "\n"); })->kind() == ErrorKind::kInvalidArgument);
  CHECK(error_of([] { read_conv1d_suite("none.csv"); })->kind() == ErrorKind::kIo);
}

TEST_CASE("suite: the shipped ones are legal, and no extra case repeats one of the suite") {
  CHECK(read_conv1d_suite(source_path("bench/conv1d_cpu.csv")).size() == 12);
  CHECK(read_conv1d_suite(source_path("bench/conv1d_cpu_extra.csv")).size() == 82);
  CHECK(read_conv1d_suite(source_path("bench/conv1d_cpu_networks.csv")).size() == 30);
  CHECK(read_conv1d_suite(source_path("bench/conv1d_cpu_heads.csv")).size() == 9);
  std::set<std::string> problems;
  for (const char* name : {"bench/conv1d_gpu.csv", "bench/conv1d_gpu_extra.csv",
                           "bench/conv1d_gpu_networks.csv", "bench/conv1d_gpu_short.csv"}) {
    for (const Conv1dCase& one : read_conv1d_suite(source_path(name))) {
      CAPTURE(one.name);
      CHECK(problems.insert(to_string(one.problem)).second);
    }
  }
  CHECK(problems.size() == 99);
}

TEST_CASE("random cases: legal, of all kinds, the same for the same seed") {
  const auto cases = random_conv1d_cases(300, 5);
  const auto again = random_conv1d_cases(300, 5);
  int transposed = 0, grouped = 0, depthwise = 0, strided = 0, long_kernels = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const Conv1dProblem& p = cases[i].problem;
    CAPTURE(to_string(p));
    CHECK(to_string(p) == to_string(again[i].problem));
    CHECK(p.out_length >= 1);
    CHECK(p.in_channels % p.groups == 0);
    CHECK(p.out_channels % p.groups == 0);
    CHECK_NOTHROW(select_conv1d(p, Device::Type::kCpu));
    transposed += p.transposed ? 1 : 0;
    grouped += p.groups > 1 ? 1 : 0;
    depthwise += p.groups > 1 && p.group_inputs() == 1 ? 1 : 0;
    strided += p.stride > 1 ? 1 : 0;
    long_kernels += p.kernel_size >= 64 ? 1 : 0;
  }
  for (const int count : {transposed, grouped, depthwise, strided, long_kernels}) CHECK(count >= 5);
  CHECK(to_string(random_conv1d_cases(1, 6)[0].problem) != to_string(cases[0].problem));
}
