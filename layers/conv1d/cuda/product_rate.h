// How fast cuBLAS multiplies: what the cost models of its users share.
#pragma once

#include "layers/conv1d/conv1d_problem.h"

namespace engine::cuda {

/// Operations a second of large products in the precision of `p` on an H200, as measured, where the
/// rows of a matrix of p.dtype start `row_elements` apart: fewer where those are no multiples of 16
/// bytes, so that Hopper's copy engine cannot fetch them.
inline double product_rate(const Conv1dProblem& p, int64_t row_elements) {
  const int64_t bytes = row_elements * static_cast<int64_t>(size_of(p.dtype));
  if (p.precision == Precision::kFp32) return 50e12;
  if (bytes % 16 == 0) return p.precision == Precision::kTf32 ? 340e12 : 650e12;
  if (p.precision == Precision::kTf32) return 110e12;
  return bytes % 4 == 0 ? 205e12 : 115e12;
}

}  // namespace engine::cuda
