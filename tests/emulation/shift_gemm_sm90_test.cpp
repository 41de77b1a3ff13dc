// The Hopper GEMM of shifted operands, thread by thread on the CPU, against the formula in double.
#include "layers/conv1d/cuda/shift_gemm_sm90.cuh"

#include <doctest/doctest.h>

#include "tests/emulation/gemm_emulation.h"

namespace engine::test {
namespace {

// Runs the kernel; false where it has no plan.
template <typename T>
bool launch_shifts(Emulation<T>& emulation, const cuda::ShiftKernel& kernel, bool streamed) {
  const Conv1dProblem& p = emulation.problem();
  const cuda::ShiftPlan plan = cuda::plan_shift_gemm(p, kernel.rows, kernel.shared_bytes, streamed);
  if (!plan.valid) return false;
  Guarded<T> weights = packed_weights(
      emulation, shift_weight_count(p, plan),
      [&](const auto& read, float* packed) { pack_shift_weights(p, plan, read, packed); });
  cuda::ShiftGemm gemm = shift_gemm(p, plan);
  set_operands(gemm, p, plan, emulation.x(), emulation.y(), cuda::emulated_tensor_map);
  gemm.weights = weights.data();
  gemm.epilogue = emulation.epilogue();
  kernel.launch(gemm, plan.shared_bytes(), plan.blocks(p, emulation.options().blocks), nullptr);
  return true;
}

Conv1dProblem draw_shift_problem(Random& random) {
  Conv1dProblem p = draw_problem(random);
  p.stride = 1;
  p.padding_mode = PaddingMode::kZeros;
  do {
    p.in_length = 8 * random.integer(1, 70);
    p.dilation = random.pick<int64_t>({1, 1, 2, 3, 8, 40});
    draw_lengths(p, random);
  } while (p.out_length < 1);
  return p;
}

}  // namespace

TEST_CASE("the Hopper GEMM of shifted operands on random problems, in f16") {
  const std::vector<cuda::ShiftKernel> kernels = {cuda::shift_kernel_sm90<__half, 128>(),
                                                  cuda::shift_kernel_sm90<__half, 64>()};
  int computed = 0;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    for (const cuda::ShiftKernel& kernel : kernels) {
      Random random(500 + seed);
      EmulatedCase c;
      c.problem = draw_shift_problem(random);
      c.problem.precision = Precision::kFp16;
      c.problem.dtype = DType::kF16;
      draw_epilogue(c.problem, true, random);
      c.problem.residual = false;
      c.y_shift = random.integer(0, 17);
      c.blocks = random.integer(1, 3);
      const bool streamed = random.integer(1, 2) == 2;
      INFO("seed ", seed, ", ", kernel.rows, " rows: ", to_string(c.problem));
      const double error = Emulation<__half>(c, random).run(
          [&](Emulation<__half>& emulation) { return launch_shifts(emulation, kernel, streamed); });
      CHECK(error < 6e-4);
      if (error >= 0.0) ++computed;
    }
  }
  CHECK(computed >= 45);
}

// Few channels, and windows that lie partly or wholly before and behind the rows of x.
TEST_CASE("the Hopper GEMM of shifted operands on taps that lie far apart, in f16") {
  uint64_t seed = 600;
  for (const int64_t dilation : {296, 300, 16381, 1 << 20}) {
    CAPTURE(dilation);
    EmulatedCase c;
    c.problem.batch = c.problem.groups = 2;
    c.problem.in_channels = 4;
    c.problem.out_channels = 6;
    c.problem.in_length = c.problem.out_length = 304;
    c.problem.kernel_size = 3;
    c.problem.dilation = c.problem.pad_left = c.problem.pad_right = dilation;
    c.problem.precision = Precision::kFp16;
    c.problem.dtype = DType::kF16;
    Random random(seed++);
    const double error = Emulation<__half>(c, random).run([](Emulation<__half>& emulation) {
      return launch_shifts(emulation, cuda::shift_kernel_sm90<__half, 64>(), false);
    });
    CHECK(error >= 0.0);
    CHECK(error < 6e-4);
  }
}

}  // namespace engine::test
