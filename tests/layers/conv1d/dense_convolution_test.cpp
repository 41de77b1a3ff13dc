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
  std::vector<int64_t> counts;
  int64_t next = 0;
  for (const cpu::PhaseRun& run : cpu::phase_runs(p)) {
    CHECK(run.first == next);
    next += run.count;
    counts.push_back(run.count);
  }
  return counts;
}

}  // namespace

TEST_CASE("phases that read the same inputs are computed at once") {
  CHECK(counts(16, 8, 0, 800) == std::vector<int64_t>{8});
  CHECK(counts(16, 8, 3, 800) == std::vector<int64_t>{5, 3});  // those behind read an input more
  CHECK(counts(7, 4, 0, 400) == std::vector<int64_t>{3, 1});   // the last has a tap less
}

TEST_CASE("phases of different lengths are not") {
  CHECK(counts(16, 8, 0, 805) == std::vector<int64_t>{5, 3});
  CHECK(counts(16, 8, 0, 3) == std::vector<int64_t>{3});
}

TEST_CASE("a convolution that is not transposed has one phase") {
  TapProblem p;
  p.taps = TapRule::forward(5, 2, 1, 2);
  p.out_length = 100;
  CHECK(cpu::phase_runs(p).size() == 1);
}

}  // namespace engine::test
