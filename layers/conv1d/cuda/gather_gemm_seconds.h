// How long the Hopper GEMM that gathers its operands takes.
#pragma once

#include "layers/conv1d/cuda/gemm_deal.h"

namespace engine::cuda {

/// Seconds on an H200 of a launch whose last block takes `cycles`. Nothing is faster than memory.
double gather_launch_seconds(const Conv1dProblem& problem, double cycles);

/// Seconds on an H200. Plans are ranked by their tile_cycles; this also counts what all ways to cut
/// a problem have in common: the ends of x's rows, rows that begin anywhere, and, of operands of
/// one part, what neither the first loads nor the last stores hide behind.
double gather_gemm_seconds(const Conv1dProblem& problem, const GemmTile& tile, const GemmPlan& plan,
                           const GemmDeal& deal);

}  // namespace engine::cuda
