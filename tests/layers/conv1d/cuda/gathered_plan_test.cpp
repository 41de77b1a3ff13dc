// How a convolution is cut for the implicit matrix product that gathers its operands: what its
// threads read lies within a stage's window, and all stages within shared memory.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "layers/conv1d/conv1d_select.h"
#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "layers/conv1d/cuda/implicit_gemm_launch.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

Conv1dProblem draw_problem(Random& random) {
  Conv1dProblem p;
  p.in_channels = random.integer(1, 300);
  p.out_channels = random.integer(1, 600);
  p.kernel_size = random.integer(1, 40);
  p.stride = random.pick<int64_t>({1, 1, 2, 3, 4, 8});
  p.dilation = random.pick<int64_t>({1, 1, 2, 7, 512});
  p.out_length = random.integer(1, 5000);
  p.in_length = (p.out_length - 1) * p.stride + (p.kernel_size - 1) * p.dilation + 1;
  p.precision = Precision::kTf32;
  return p;
}

// The last byte that is read of a window: of the last column, channel and tap of a unit, in a row
// that begins as far behind a 16-byte boundary as any.
int64_t last_byte(const cuda::GemmPlan& plan, const cuda::GemmTile& tile, int unit) {
  const int64_t bytes = tile.element_bytes;
  const int64_t shift = 16 / bytes - 1;
  const int64_t position =
      (tile.columns - 1) * plan.fold.stride + (plan.unit_taps - 1) * plan.fold.spacing + shift;
  return plan.step[unit] + (plan.unit_channels - 1) * int64_t{plan.row_pitch} * 4 +
         (position + 1) * bytes - 1;
}

void check_plan(const Conv1dProblem& p, const cuda::GemmTile& tile) {
  const cuda::GemmPlan plan = plan_gemm(p, tile, 1);
  if (!plan.valid) return;
  CHECK(plan.ring >= 2);
  CHECK(plan.steps % tile.gathered_steps == 0);
  CHECK(plan.shared_bytes() <= tile.shared_bytes);
  CHECK(plan.window_bytes % cuda::kUnitBytes == 0);
  CHECK(int64_t{plan.channel_stages} * plan.stage_units * plan.unit_channels >= p.group_inputs());
  CHECK(int64_t{plan.tap_stages} * plan.stage_taps * plan.unit_taps >= plan.fold.taps);
  for (int unit = 0; unit < 2 * plan.steps; ++unit) {
    CHECK(last_byte(plan, tile, unit) < plan.window_bytes);
  }
}

}  // namespace

TEST_CASE("plans of kernels that gather keep to their windows and to shared memory") {
  Random random(31);
  int valid = 0;
  for (int i = 0; i < 200; ++i) {
    Conv1dProblem p = draw_problem(random);
    const auto check = [&](Precision precision, const std::vector<cuda::Sm90Kernel>& kernels) {
      p.precision = precision;
      p.dtype = storage_dtype(precision);
      CAPTURE(to_string(p));
      for (const cuda::Sm90Kernel& kernel : kernels) {
        check_plan(p, kernel.tile);
        valid += plan_gemm(p, kernel.tile, 1).valid;
      }
    };
    check(Precision::kTf32, cuda::gather_kernels_sm90_tf32());
    check(Precision::kFp32, cuda::gather_kernels_sm90_fp32());
    check(Precision::kFp16, cuda::gather_kernels_sm90_fp16());
    check(Precision::kBf16, cuda::gather_kernels_sm90_bf16());
  }
  CHECK(valid > 1000);
}

TEST_CASE("gathered operands suit strided layers of many channels") {
  if (!cuda::runs_sm90()) return;
  Conv1dProblem p;
  p.batch = 16;
  p.in_channels = p.out_channels = 512;
  p.kernel_size = 3;
  p.stride = 2;
  p.in_length = 31999;
  p.out_length = 15999;
  for (const Precision precision :
       {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16}) {
    p.precision = precision;
    p.dtype = storage_dtype(precision);
    if (precision == Precision::kTf32) {  // which arranged ones take as long for
      const Conv1dKernel& chosen = *select_conv1d(p, Device::Type::kCuda).kernel;
      CHECK(cuda::conv1d_gather_gemm_sm90().seconds(p) < 1.05 * chosen.seconds(p));
      continue;
    }
    CHECK(std::string(select_conv1d(p, Device::Type::kCuda).kernel->name) ==
          "conv1d_gather_gemm_sm90");
  }
}

}  // namespace engine::test
