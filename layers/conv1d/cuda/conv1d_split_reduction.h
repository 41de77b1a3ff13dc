// Conv1d of few outputs by mma.sync, the reduction shared by the warps of a block.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/layer.h"
#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/tap_problem.h"

namespace engine::cuda {

/// How inputs come to the registers that they are multiplied in.
enum class SplitReductionInputs {
  kSingle,  ///< straight, one by one
  kPaired,  ///< straight, two neighbouring positions at a time
  kStaged,  ///< through shared memory
};

/// How a problem is cut into blocks.
struct SplitReductionCut {
  SplitReductionInputs inputs = SplitReductionInputs::kSingle;
  int row_tiles = 1;     ///< of 16 output channels, in a block
  int column_tiles = 1;  ///< of 8 output positions, in a block
  int warps = 1;         ///< of a block: each sums a part of the reduction
  int splits = 1;        ///< blocks that share the reduction of one tile
};

/// The most phases of a transposed convolution.
inline constexpr int kSplitReductionPhases = 32;

/// Words of 4 bytes, each of one f32 value or of two 16-bit values of neighbouring channels, that
/// one matrix instruction sums.
inline constexpr int kSplitReductionDepth = 8;

/// Warps that a block of these tiles may have.
constexpr int split_reduction_most_warps(SplitReductionInputs inputs, int row_tiles,
                                         int column_tiles) {
  const bool staged = inputs == SplitReductionInputs::kStaged;
  return row_tiles * column_tiles >= (staged ? 16 : 8) ? 8 : 16;
}

/// Steps of the reduction whose operands a warp holds at once, as far as registers reach: a step of
/// a row tile takes 4, one of a column tile 2 for each value of a word, or none where staged.
constexpr int split_reduction_unroll(SplitReductionInputs inputs, int row_tiles, int column_tiles,
                                     int width) {
  const bool staged = inputs == SplitReductionInputs::kStaged;
  if (row_tiles * column_tiles >= 16) return 3;
  const int steps = staged ? 10 / (row_tiles + column_tiles / 4)
                           : 64 / (4 * row_tiles + 2 * width * column_tiles);
  const int most = staged ? 6 : 8;
  return steps < most ? steps : most;
}

/// Rows and row stride, in words, of the inputs that a block keeps in shared memory.
struct SplitReductionStage {
  int64_t rows;
  int64_t span;    ///< of a row, in use
  int64_t stride;  ///< from row to row

  int64_t bytes() const { return rows * stride * 4; }
};
SplitReductionStage split_reduction_stage(const Conv1dProblem& problem,
                                          const SplitReductionCut& cut);

/// Shared memory of a block.
int64_t split_reduction_shared_bytes(const Conv1dProblem& problem, const SplitReductionCut& cut);

/// Whether the kernel runs that cut.
bool split_reduction_allows(const Conv1dProblem& problem, const SplitReductionCut& cut);

/// Steps of the reduction of one output.
int64_t split_reduction_steps(const Conv1dProblem& problem);

/// The taps of the phase that has the most.
int64_t most_taps(const TapRule& rule);

/// The weights as fragments of the matrix instruction: [groups, phases, tiles of 16 output
/// channels, steps of the reduction, 32 lanes, 16 bytes]. f32 weights are rounded to TF32 where
/// that is the precision. `weight(g, m, c, k)` gives one of them.
Tensor pack_split_reduction_weights(
    const Conv1dProblem& problem,
    const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight);

/// What the kernel works on. `partials` holds `splits` times the outputs in f32 where the cut has
/// more than one split.
struct SplitReductionOperands {
  const void* input = nullptr;
  const void* weights = nullptr;  ///< as packed above
  const float* bias = nullptr;
  const void* residual = nullptr;
  float* partials = nullptr;
  void* output = nullptr;
};

/// The cut with the least predicted time.
SplitReductionCut split_reduction_cut(const Conv1dProblem& problem);

/// Predicted time of a cut, in seconds.
double split_reduction_seconds(const Conv1dProblem& problem, const SplitReductionCut& cut);

/// Enqueues the convolution.
void split_reduction(const Conv1dProblem& problem, const SplitReductionCut& cut,
                     const SplitReductionOperands& operands, CudaStream stream);

}  // namespace engine::cuda
