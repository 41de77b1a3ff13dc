// The Hopper GEMM that gathers its operands, thread by thread on the CPU, against the formula in
// double.
#include "layers/conv1d/cuda/gather_gemm_sm90.cuh"

#include <doctest/doctest.h>

#include "tests/emulation/gemm_emulation.h"

namespace engine::test {
namespace {

bool allows(const Conv1dProblem& p) {
  return p.padding_mode == PaddingMode::kZeros && !(p.transposed && p.stride > 8);
}

// Few products are left to others in fp32.
bool allows_parts(const Conv1dProblem& p) {
  return allows(p) && !p.transposed && p.reduction() >= 192;
}

template <typename T>
void check(const std::vector<cuda::Sm90Kernel>& kernels, Precision precision, double tolerance,
           uint64_t first_seed, bool (*takes)(const Conv1dProblem&)) {
  const auto is_plain = [](const cuda::Sm90Kernel&, Random&) { return true; };
  check_emulated<T>(kernels, is_plain, precision, tolerance, first_seed, takes);
}

}  // namespace

TEST_CASE("the gathering Hopper GEMM on random problems, in TF32") {
  check<float>({cuda::gather_kernel_sm90<float, 128, 2, 2, 1, 1>(),
                cuda::gather_kernel_sm90<float, 128, 3, 1, 1, 1>(),
                cuda::gather_kernel_sm90<float, 256, 2, 1, 1, 1>()},
               Precision::kTf32, 6e-4, 700, allows);
}

TEST_CASE("the gathering Hopper GEMM on random problems, in fp16") {
  check<__half>({cuda::gather_kernel_sm90<__half, 128, 2, 2, 1, 1>(),
                 cuda::gather_kernel_sm90<__half, 128, 3, 1, 1, 1>(),
                 cuda::gather_kernel_sm90<__half, 256, 2, 1, 1, 1>()},
                Precision::kFp16, 6e-4, 900, allows);
}

TEST_CASE("the gathering Hopper GEMM on random problems, in bf16") {
  check<__nv_bfloat16>({cuda::gather_kernel_sm90<__nv_bfloat16, 128, 2, 2, 1, 1>(),
                        cuda::gather_kernel_sm90<__nv_bfloat16, 128, 3, 1, 1, 1>(),
                        cuda::gather_kernel_sm90<__nv_bfloat16, 256, 2, 1, 1, 1>()},
                       Precision::kBf16, 4e-3, 1000, allows);
}

TEST_CASE("the gathering Hopper GEMM on random problems, in fp32 by parts") {
  check<float>({cuda::gather_kernel_sm90<float, 64, 2, 2, 1, 2>(),
                cuda::gather_kernel_sm90<float, 128, 2, 1, 1, 2>()},
               Precision::kFp32, 1e-6, 800, allows_parts);
}

// Tiles meet at sectors of rows that are not aligned; the last may be shorter than a sector.
TEST_CASE("the gathering Hopper GEMM on rows that end just behind a tile") {
  check_row_ends(cuda::gather_kernel_sm90<float, 128, 2, 2, 1, 1>(),
                 {241, 243, 247, 497, 499, 503, 743});
}

// Tiles of layers of many products do not overlap, so lines end between units of 16 bytes.
TEST_CASE("the gathering Hopper GEMM on rows of many channels that lie between sectors") {
  check_row_ends(cuda::gather_kernel_sm90<float, 128, 2, 2, 1, 1>(), {512, 513, 767}, 800);
  check_row_ends(cuda::gather_kernel_sm90<float, 128, 3, 1, 1, 1>(), {256, 257, 258, 511}, 800);
}

}  // namespace engine::test
