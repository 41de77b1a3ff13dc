// Which phases of a transposed convolution the CPU computes at once.
#include "layers/conv1d/cpu/dense_convolution.h"

#include <doctest/doctest.h>

#include <vector>

namespace engine::test {
namespace {

std::vector<int64_t> counts(int64_t kernel_size, int64_t stride, int64_t padding,
                            int64_t out_length) {
  TapProblem p;
  p.taps = TapRule::transposed(kernel_size, stride, 1, padding);
  p.out_length = out_length;
  const std::vector<cpu::PhaseRun> runs = cpu::phase_runs(p);
  std::vector<int64_t> counts;
  int64_t next = runs.front().first;
  for (const cpu::PhaseRun& run : runs) {
    CHECK(run.first == next);
    next += run.count;
    counts.push_back(run.count);
  }
  return counts;
}

}  // namespace

TEST_CASE("phases that read the same inputs are computed at once") {
  CHECK(counts(16, 8, 0, 800) == std::vector<int64_t>{8});
  CHECK(counts(16, 8, 0, 805) == std::vector<int64_t>{8});  // the last three lack a column
  CHECK(counts(16, 8, 0, 3) == std::vector<int64_t>{3});
  CHECK(counts(7, 4, 0, 400) == std::vector<int64_t>{3, 1});  // the last has a tap less
}

TEST_CASE("phases behind which a column ends are computed with the next column's first") {
  TapProblem p;
  p.taps = TapRule::transposed(16, 8, 1, 3);
  p.out_length = 800;
  const std::vector<cpu::PhaseRun> runs = cpu::phase_runs(p);
  REQUIRE(runs.size() == 1);
  CHECK(runs.front().first == -3);
  CHECK(runs.front().count == 8);
  CHECK(runs.front().columns == 101);
  CHECK(counts(9, 4, 3, 400) == std::vector<int64_t>{3, 1});
}

TEST_CASE("a convolution that is not transposed has one phase") {
  TapProblem p;
  p.taps = TapRule::forward(5, 2, 1, 2);
  p.out_length = 100;
  CHECK(cpu::phase_runs(p).size() == 1);
}

}  // namespace engine::test
