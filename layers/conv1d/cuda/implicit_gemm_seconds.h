// How long the Hopper implicit GEMM takes.
#pragma once

#include "layers/conv1d/cuda/implicit_gemm_launch.h"

namespace engine::cuda {

/// Seconds on an H200 for operands of one part. Plans are ranked by their tile_cycles; this also
/// counts that a warp loads a whole window, that the last channels of a reduction may be loaded
/// otherwise than the others, and which rows of a tile there are to be stored.
double implicit_gemm_seconds(const Conv1dProblem& problem, const Sm90Kernel& kernel,
                             const GemmPlan& plan);

}  // namespace engine::cuda
