// How long cuBLAS multiplies: what the cost models of its users share.
#pragma once

#include <algorithm>

#include "engine/round_up.h"
#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/cuda/choose_gemm.h"

namespace engine::cuda {

/// A batch of matrix products of a problem: [m, k] by [k, n], whose rows are `row_elements` of
/// p.dtype apart.
struct BatchedProduct {
  int64_t batch;
  int64_t m;
  int64_t n;
  int64_t k;
  int64_t row_elements;
};

/// Seconds that cuBLAS takes for them on an H200, as measured: rounds of tiles of 128 x 128, one on
/// each multiprocessor, which take k steps one after the other. Steps take longer where rows are no
/// multiples of 16 bytes, so that Hopper's copy engine cannot fetch them. Where tiles are few, k is
/// cut.
inline double product_seconds(const Conv1dProblem& p, const BatchedProduct& product) {
  constexpr int64_t kFewTiles = 33;
  constexpr double kCutShare = 0.4;
  constexpr double kLeastRound = 1.5e-6;
  const int64_t bytes = product.row_elements * static_cast<int64_t>(size_of(p.dtype));
  const auto step_seconds = [&] {
    if (p.precision == Precision::kFp32) return 86e-9;
    if (p.precision == Precision::kTf32) return bytes % 16 == 0 ? 20e-9 : 34e-9;
    return bytes % 16 == 0 ? 8.3e-9 : bytes % 4 == 0 ? 17.5e-9 : 35e-9;
  };
  const int64_t tiles =
      product.batch * ceil_divide(product.m, int64_t{128}) * ceil_divide(product.n, int64_t{128});
  const double steps = static_cast<double>(product.k) * step_seconds();
  if (tiles < kFewTiles) return kCutShare * steps;
  return static_cast<double>(ceil_divide(tiles, int64_t{kMultiprocessors})) *
         std::max(steps, kLeastRound);
}

}  // namespace engine::cuda
