// The Hopper implicit GEMM kernel, thread by thread on the CPU, against the formula in double.
#include "layers/conv1d/cuda/implicit_gemm_sm90.cuh"

#include <doctest/doctest.h>

#include "tests/emulation/gemm_emulation.h"

namespace engine::test {
namespace {

template <typename T>
void check(const std::vector<cuda::Sm90Kernel>& kernels, Precision precision, double tolerance,
           uint64_t first_seed) {
  const auto is_plain = [](const cuda::Sm90Kernel& kernel, Random&) { return kernel.plain; };
  check_emulated<T>(kernels, is_plain, precision, tolerance, first_seed);
}

}  // namespace

TEST_CASE("the Hopper implicit GEMM on random problems, in TF32") {
  check<float>({cuda::sm90_kernel<float, 2, 2, 128, 1, true>(),
                cuda::sm90_kernel<float, 1, 2, 256, 1, true>(),
                cuda::sm90_kernel<float, 2, 1, 256, 1, true>(),
                cuda::sm90_kernel<float, 2, 2, 128, 1, false>()},
               Precision::kTf32, 6e-4, 100);
}

// Tiles meet at sectors of rows that are not aligned; the last may be shorter than a sector.
TEST_CASE("the Hopper implicit GEMM on rows that end just behind a tile") {
  check_row_ends(cuda::sm90_kernel<float, 2, 2, 128, 1, true>(), {241, 243, 247, 483});
}

TEST_CASE("the Hopper implicit GEMM on random problems, in fp32 by parts") {
  check<float>({cuda::sm90_kernel<float, 1, 2, 128, 2, true>(),
                cuda::sm90_kernel<float, 2, 1, 128, 2, true>(),
                cuda::sm90_kernel<float, 1, 2, 128, 2, false>()},
               Precision::kFp32, 1e-6, 200);
}

TEST_CASE("the Hopper implicit GEMM on random problems, in f16") {
  check<__half>({cuda::sm90_kernel<__half, 2, 2, 128, 1, true>(),
                 cuda::sm90_kernel<__half, 1, 2, 256, 1, true>(),
                 cuda::sm90_kernel<__half, 2, 1, 256, 1, true>(),
                 cuda::sm90_kernel<__half, 2, 2, 128, 1, false>()},
                Precision::kFp16, 6e-4, 300);
}

}  // namespace engine::test
