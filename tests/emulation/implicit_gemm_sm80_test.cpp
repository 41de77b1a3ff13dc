// The Ampere implicit GEMM kernel, thread by thread on the CPU, against the formula in double.
#include "layers/conv1d/cuda/implicit_gemm_sm80.cuh"

#include <doctest/doctest.h>

#include "tests/emulation/gemm_emulation.h"

namespace engine::test {
namespace {

template <typename T>
void check(const std::vector<cuda::Sm80Kernel>& kernels, Precision precision, double tolerance,
           uint64_t first_seed) {
  const auto is_plain = [](const cuda::Sm80Kernel&, Random& random) { return random.chance(0.6); };
  check_emulated<T>(kernels, is_plain, precision, tolerance, first_seed);
}

}  // namespace

TEST_CASE("the Ampere implicit GEMM on random problems, in TF32") {
  check<float>({cuda::sm80_kernel<float, 2, 128, 1>(), cuda::sm80_kernel<float, 1, 64, 1>()},
               Precision::kTf32, 6e-4, 400);
}

TEST_CASE("the Ampere implicit GEMM on random problems, in fp32 by parts") {
  check<float>({cuda::sm80_kernel<float, 1, 64, 2>()}, Precision::kFp32, 1e-6, 500);
}

TEST_CASE("the Ampere implicit GEMM on random problems, in f16") {
  check<__half>({cuda::sm80_kernel<__half, 2, 128, 1>(), cuda::sm80_kernel<__half, 1, 64, 1>()},
                Precision::kFp16, 6e-4, 600);
}

}  // namespace engine::test
