// Conv1d of few outputs: batch 1 and short lengths, where time is latency.
//   y[b, g M + m, q R + r] = f2(f(bias[g M + m] + sum over c, i of w[g, m, c, first + i step] *
//                          x[b, g C + c, q S + offset + i shift]) + residual[b, g M + m, q R + r])
// for the R phases of Conv1d (one) and ConvTranspose1d (one for each remainder of the output
// position by the stride), as layers/conv1d/tap_problem.h defines them. x, y, residual are NCL.
//
// GEMM: for each sample, group and phase rows are output channels, columns output positions q, and
//   the reduction runs over c T + i, with T the most taps that a phase has. No matrix is built.
// Threads: a block computes kRowTiles x kColumnTiles tiles of 16 x 8 outputs by mma.sync. Its warps
//   take the steps of the reduction (8 words of one f32 or two 16-bit values) in turn.
//   Weights lie in the order of the fragments: one 16-byte load for a lane, step and row tile.
//   Inputs go straight to registers, a warp loading the operands of several steps before it uses
//   the first, one by one, so that rows of every alignment cost the same; in pairs where one tap
//   and an even length put all pairs on their alignment; or through shared memory.
// Shared memory: the staged inputs of all channels, then the partial sums of the warps. These are
//   added in the order of the warps, so that results do not change from run to run.
// Splits: where even so too few blocks would work on a long reduction, several blocks share it:
//   they store f32 sums, and a second kernel adds them in order.
// fp32: operands are split in two TF32 parts whose three larger products are summed. A step starts
//   from zero and is added in fp32, since the tensor cores' own accumulation truncates. The fp32
//   result of an infinite input may be NaN.
// Bytes: weights once for each tile of columns, inputs once for each tile of rows, from the L2.
// Requires: sizes of one sample below 2^30; at least 4 output channels in each of several groups; a
//   transposed convolution's stride of at most 32; for padding other than zeros, inputs of 16
//   positions that span at most 512.
// Limited by latency: that of a launch, of one load from the L2, of two barriers. On an H200, in a
//   CUDA graph of many launches, where an empty kernel takes 0.53 us: 16 -> 16 channels, 3 taps, 64
//   positions 1.8 us (tf32) to 1.9 (fp32, fp16); 64 -> 64 channels, 480 positions 2.4 (tf32, fp16)
//   and 2.7 (fp32); 1024 -> 1024 channels, one tap, one position 3.25 (tf32), where the memory
//   would take 1.0 us for the 4.2 MB of weights: 31% of the roofline.
#include <cstdint>
#include <type_traits>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/conv1d_split_reduction.h"
#include "layers/conv1d/cuda/epilogue.h"
#include "layers/conv1d/cuda/split_reduction_math.h"

namespace engine::cuda {
namespace {

constexpr int kTileRows = 16;
constexpr int kTileColumns = 8;
constexpr int kTileOutputs = kTileRows * kTileColumns;

// The inputs that stand in for positions before the first and beyond the last: a + s * position.
struct Border {
  int before_offset;
  int before_scale;
  int after_offset;
  int after_scale;
};  // a position outside the input reads as zero

// The taps of a phase, as PhaseTaps.
struct Phase {
  int count;
  int offset;
};

// A problem in 32-bit sizes, with divisions made ready.
struct Sizes {
  int in_length;
  int out_length;
  int inputs;   // C
  int outputs;  // M
  int taps;     // T
  uint32_t tap_multiplier;
  int shift;        // input positions from one tap to the next
  int in_stride;    // input positions from one column to the next
  int steps;        // of the reduction
  int columns;      // outputs of phase 0, which has the most
  int row_tiles;    // of a group
  int split_steps;  // of a block
  int stage_rows;
  int stage_span;
  int stage_stride;
  int stage_lines;            // rows that the threads of a block fill at a time
  uint32_t stage_multiplier;  // a thread / stage_span is the high word of the product
  FastDivide column_blocks;
  FastDivide phases;
  FastDivide groups;
  Border border;
  Phase phase[kSplitReductionPhases];

  // The channel, or pair of channels, of a word of the reduction.
  __device__ __forceinline__ int row_of(int word) const {
    return static_cast<int>(__umulhi(2 * static_cast<uint32_t>(word), tap_multiplier));
  }
};

// r / T is the high word of 2 r * multiplier, for r T < 2^31.
uint32_t tap_multiplier(int64_t taps) {
  return static_cast<uint32_t>(((int64_t{1} << 31) + taps - 1) / taps);
}

// What of the problem a block computes.
struct Block {
  int64_t sample_group;
  int group;
  int phase;
  int first_row;
  int first_column;
  int first_step;  // of its part of the reduction
  int end_step;
};

template <int kRows, int kColumns>
__device__ __forceinline__ Block decode_block(const Sizes& p) {
  Block block;
  const int64_t index = p.column_blocks.quotient(blockIdx.x);
  block.first_column = static_cast<int>(blockIdx.x - index * p.column_blocks.divisor()) * kColumns;
  block.sample_group = p.phases.quotient(index);
  block.phase = static_cast<int>(index - block.sample_group * p.phases.divisor());
  block.group = static_cast<int>(p.groups.remainder(block.sample_group));
  block.first_row = blockIdx.y * kRows;
  block.first_step = blockIdx.z * p.split_steps;
  block.end_step = min(block.first_step + p.split_steps, p.steps);
  return block;
}

// Loads a lane's inputs of one step: zeros beyond the reduction and the ends of the input.
// `position` is the input of the phase's first tap, for the column of each tile.
template <int kWidth, typename T, int kColumnTiles>
__device__ __forceinline__ void load_inputs(const Sizes& p, const T* x, int taps,
                                            const int (&position)[kColumnTiles], int first_word,
                                            T (&values)[kColumnTiles][2][kWidth]) {
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    const int word = first_word + 4 * j;
    const int row = p.row_of(word);
    const int tap = word - row * p.taps;
    const int shift = tap * p.shift;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const int channel = row * kWidth + i;
      const bool exists = channel < p.inputs && tap < taps;
      const int offset = channel * p.in_length;
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
        const int at = position[n] + shift;
        const bool inside = static_cast<uint32_t>(at) < static_cast<uint32_t>(p.in_length);
        values[n][j][i] = load_if(exists && inside, x + (offset + at));
      }
    }
  }
}

// The same for one tap, by pairs: `position` is that of the first of two columns.
template <int kWidth, typename T, typename Pair, int kPairs>
__device__ __forceinline__ void load_pairs(const Sizes& p, const T* x,
                                           const int (&position)[kPairs], int first_word,
                                           Pair (&pairs)[kPairs][2][kWidth]) {
#pragma unroll
  for (int j = 0; j < 2; ++j) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const int channel = (first_word + 4 * j) * kWidth + i;
      const T* row = x + channel * p.in_length;
#pragma unroll
      for (int n = 0; n < kPairs; ++n) {
        pairs[n][j][i] = load_pair_if(channel < p.inputs, row + position[n]);
      }
    }
  }
}

// Fills shared memory with the inputs of a block: rows of words from row `first` on, each with
// p.stage_span positions from `position` on; zeros beyond the channels and the ends of the input.
template <typename Math>
__device__ __forceinline__ void stage_inputs(const Sizes& p, const typename Math::Element* x,
                                             int first, int position, uint32_t* stage) {
  using T = typename Math::Element;
  constexpr int kBatch = 16 / Math::kWidth;  // words that a thread has in flight
  const int lines = p.stage_lines;
  const int line = static_cast<int>(__umulhi(threadIdx.x, p.stage_multiplier));
  const int column = threadIdx.x - line * p.stage_span;
  if (line >= lines) return;
  int at = position + column;
  const bool before = at < 0, after = at >= p.in_length;
  const int scale = before ? p.border.before_scale : p.border.after_scale;
  const int offset = before ? p.border.before_offset : p.border.after_offset;
  at = before || after ? offset + scale * at : at;
  // Columns beyond the last read beyond what a border may repeat.
  const bool inside = static_cast<uint32_t>(at) < static_cast<uint32_t>(p.in_length);
  const int end = min(p.inputs, (first + p.stage_rows) * Math::kWidth);
  for (int base = line; base < p.stage_rows; base += lines * kBatch) {
    T values[kBatch][Math::kWidth];
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
#pragma unroll
      for (int i = 0; i < Math::kWidth; ++i) {
        const int channel = (first + base + k * lines) * Math::kWidth + i;
        values[k][i] = load_if(inside && channel < end, x + (channel * p.in_length + at));
      }
    }
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const int row = base + k * lines;
      if (row < p.stage_rows) stage[row * p.stage_stride + column] = Math::word(values[k]);
    }
  }
}

// The weights of a block's rows, as a lane holds them for the next steps of its warp.
template <int kSteps, int kRowTiles>
struct Weights {
  const uint4* tiles[kRowTiles];
  uint4 held[kSteps][kRowTiles];

  __device__ __forceinline__ Weights(const Sizes& p, const Block& block, const uint4* weights) {
    const int64_t first = (block.group * p.phases.divisor() + block.phase) * p.row_tiles;
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      const int tile = min(static_cast<int>(blockIdx.y) * kRowTiles + m, p.row_tiles - 1);
      tiles[m] = weights + (first + tile) * p.steps * 32 + threadIdx.x % 32;
    }
  }

  // Steps first, first + warps, ... below `end`.
  __device__ __forceinline__ void load(int first, int warps, int end) {
#pragma unroll
    for (int u = 0; u < kSteps; ++u) {
      const int step = first + u * warps;
      if (step >= end) break;
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) held[u][m] = __ldg(tiles[m] + int64_t{step} * 32);
    }
  }
};

// Adds the products of a warp's steps, which are `first`, first + warps, ..., with inputs that are
// loaded one by one. `weights` holds the first of them already.
template <typename Math, int kSteps, int kRowTiles, int kColumnTiles>
__device__ __forceinline__ void add_single(const Sizes& p, const Block& block,
                                           const typename Math::Element* x, int first, int warps,
                                           Weights<kSteps, kRowTiles>& weights,
                                           float (&sum)[kRowTiles][kColumnTiles][4]) {
  const int lane = threadIdx.x % 32;
  const Phase taps = p.phase[block.phase];
  int position[kColumnTiles];
#pragma unroll
  for (int n = 0; n < kColumnTiles; ++n) {
    // Columns beyond the last repeat it and are not stored.
    const int column = min(block.first_column + n * kTileColumns + lane / 4, p.columns - 1);
    position[n] = column * p.in_stride + taps.offset;
  }
  for (;;) {
    typename Math::Element b[kSteps][kColumnTiles][2][Math::kWidth];
#pragma unroll
    for (int u = 0; u < kSteps; ++u) {
      const int step = first + u * warps;
      if (step >= block.end_step) break;
      load_inputs(p, x, taps.count, position, step * kSplitReductionDepth + lane % 4, b[u]);
    }
#pragma unroll
    for (int u = 0; u < kSteps; ++u) {
      if (first + u * warps >= block.end_step) break;
      uint32_t words[kColumnTiles][2];
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
        words[n][0] = Math::word(b[u][n][0]);
        words[n][1] = Math::word(b[u][n][1]);
      }
      Math::multiply(weights.held[u], words, sum);
    }
    first += warps * kSteps;
    if (first >= block.end_step) return;
    weights.load(first, warps, block.end_step);
  }
}

// The same with inputs that are loaded by pairs: columns 2 g and 2 g + 1 of 16 are column g of two
// neighbouring tiles.
template <typename Math, int kSteps, int kRowTiles, int kColumnTiles>
__device__ __forceinline__ void add_paired(const Sizes& p, const Block& block,
                                           const typename Math::Element* x, int first, int warps,
                                           Weights<kSteps, kRowTiles>& weights,
                                           float (&sum)[kRowTiles][kColumnTiles][4]) {
  constexpr int kPairs = kColumnTiles / 2;
  const int lane = threadIdx.x % 32;
  int position[kPairs];
#pragma unroll
  for (int n = 0; n < kPairs; ++n) {
    // Columns beyond the last repeat the last pair and are not stored.
    position[n] = min(block.first_column + 2 * (n * kTileColumns + lane / 4), p.columns - 2);
  }
  for (;;) {
    typename Math::Pair b[kSteps][kPairs][2][Math::kWidth];
#pragma unroll
    for (int u = 0; u < kSteps; ++u) {
      const int step = first + u * warps;
      if (step >= block.end_step) break;
      load_pairs(p, x, position, step * kSplitReductionDepth + lane % 4, b[u]);
    }
#pragma unroll
    for (int u = 0; u < kSteps; ++u) {
      if (first + u * warps >= block.end_step) break;
      uint32_t words[kColumnTiles][2];
#pragma unroll
      for (int n = 0; n < kPairs; ++n) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          Math::words(b[u][n][j], words[2 * n][j], words[2 * n + 1][j]);
        }
      }
      Math::multiply(weights.held[u], words, sum);
    }
    first += warps * kSteps;
    if (first >= block.end_step) return;
    weights.load(first, warps, block.end_step);
  }
}

// The same with inputs that pass through shared memory.
template <typename Math, int kSteps, int kRowTiles, int kColumnTiles>
__device__ __forceinline__ void add_staged(const Sizes& p, const Block& block,
                                           const typename Math::Element* x, int first, int warps,
                                           uint32_t* stage, Weights<kSteps, kRowTiles>& weights,
                                           float (&sum)[kRowTiles][kColumnTiles][4]) {
  const int lane = threadIdx.x % 32;
  const int first_row = p.row_of(block.first_step * kSplitReductionDepth);
  stage_inputs<Math>(p, x, first_row, block.first_column * p.in_stride + p.phase[0].offset, stage);
  __syncthreads();
  const uint32_t* source = stage + lane / 4 * p.in_stride;
  for (;;) {
#pragma unroll
    for (int u = 0; u < kSteps; ++u) {
      const int step = first + u * warps;
      if (step >= block.end_step) break;
      uint32_t b[kColumnTiles][2];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int word = step * kSplitReductionDepth + 4 * j + lane % 4;
        const int row = p.row_of(word);
        const int tap = word - row * p.taps;
        const uint32_t* from = source + ((row - first_row) * p.stage_stride + tap * p.shift);
#pragma unroll
        for (int n = 0; n < kColumnTiles; ++n) b[n][j] = from[n * kTileColumns * p.in_stride];
      }
      Math::multiply(weights.held[u], b, sum);
    }
    first += warps * kSteps;
    if (first >= block.end_step) break;
    weights.load(first, warps, block.end_step);
  }
  __syncthreads();  // the sums will lie where the inputs did
}

template <typename Math, SplitReductionInputs kInputs, int kRowTiles, int kColumnTiles>
__global__ void __launch_bounds__(32 * split_reduction_most_warps(kInputs, kRowTiles, kColumnTiles))
    split_reduction_kernel(const Sizes p, const typename Math::Element* x, const uint4* weights,
                           const Epilogue epilogue, float* partials, int64_t partial_count,
                           typename Math::Element* y) {
  using T = typename Math::Element;
  constexpr bool kPaired = kInputs == SplitReductionInputs::kPaired;
  constexpr int kRows = kRowTiles * kTileRows;
  constexpr int kOutputs = kRows * kColumnTiles * kTileColumns;
  constexpr int kSteps = split_reduction_unroll(kInputs, kRowTiles, kColumnTiles, Math::kWidth);
  // The bias of each row, then the staged inputs, then [warps][tiles][lanes][4] sums in their
  // place.
  extern __shared__ float row_bias[];
  float* sums = row_bias + kRows;

  const int warps = blockDim.x / 32;
  const int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0);
  const int lane = threadIdx.x % 32;
  const Block block = decode_block<kRows, kColumnTiles * kTileColumns>(p);
  const int first = block.first_step + warp;
  Weights<kSteps, kRowTiles> held(p, block, weights);
  held.load(first, warps, block.end_step);

  float bias = 0.0f;
  const int bias_row = block.first_row + static_cast<int>(threadIdx.x);
  if (epilogue.bias != nullptr && threadIdx.x < kRows && bias_row < p.outputs) {
    bias = epilogue.bias[block.group * p.outputs + bias_row];
  }
  x += block.sample_group * p.inputs * p.in_length;

  float sum[kRowTiles][kColumnTiles][4] = {};
  if constexpr (kInputs == SplitReductionInputs::kStaged) {
    add_staged<Math>(p, block, x, first, warps, reinterpret_cast<uint32_t*>(sums), held, sum);
  } else if constexpr (kPaired) {
    add_paired<Math>(p, block, x, first, warps, held, sum);
  } else {
    add_single<Math>(p, block, x, first, warps, held, sum);
  }

#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
      float* target = sums + warp * kOutputs + (m * kColumnTiles + n) * kTileOutputs + lane * 4;
      *reinterpret_cast<float4*>(target) =
          make_float4(sum[m][n][0], sum[m][n][1], sum[m][n][2], sum[m][n][3]);
    }
  }
  if (threadIdx.x < kRows) row_bias[threadIdx.x] = bias;
  __syncthreads();

  const int64_t first_channel = block.sample_group * p.outputs + block.first_row;
  for (int i = threadIdx.x; i < kOutputs; i += blockDim.x) {
    // Value i % 4 of a lane: row lane / 4, or 8 below it, and column 2 (lane % 4), or the next.
    const int tile = i / kTileOutputs % kColumnTiles;
    const int row =
        i / kTileOutputs / kColumnTiles * kTileRows + i % kTileOutputs / 16 + i / 2 % 2 * 8;
    const int in_tile = i / 4 % 4 * 2 + i % 2;
    const int column = kPaired ? tile / 2 * 2 * kTileColumns + in_tile * 2 + tile % 2
                               : tile * kTileColumns + in_tile;
    const int output =
        (block.first_column + column) * static_cast<int>(p.phases.divisor()) + block.phase;
    if (block.first_row + row >= p.outputs || output >= p.out_length) continue;
    float value = sums[i];
    for (int w = 1; w < warps; ++w) value += sums[w * kOutputs + i];
    const int64_t at = (first_channel + row) * p.out_length + output;
    if (gridDim.z > 1) {
      partials[blockIdx.z * partial_count + at] = value;
    } else {
      y[at] = from_float<T>(finish<T>(value + row_bias[row], at, epilogue));
    }
  }
}

// y[i] = f2(f(bias + sum over splits of partials[split][i]) + residual[i]).
template <typename T>
__global__ void __launch_bounds__(256)
    add_partials_kernel(const float* partials, int splits, int64_t count, FastDivide length,
                        FastDivide channels, const Epilogue epilogue, T* y) {
  for (int64_t i = blockIdx.x * int64_t{256} + threadIdx.x; i < count;
       i += gridDim.x * int64_t{256}) {
    float value = partials[i];
    for (int s = 1; s < splits; ++s) value += partials[s * count + i];
    if (epilogue.bias != nullptr) value += epilogue.bias[channels.remainder(length.quotient(i))];
    y[i] = from_float<T>(finish<T>(value, i, epilogue));
  }
}

Border border_of(PaddingMode mode, int length) {
  switch (mode) {
    case PaddingMode::kReflect:
      return {0, -1, 2 * (length - 1), -1};
    case PaddingMode::kReplicate:
      return {0, 0, length - 1, 0};
    case PaddingMode::kCircular:
      return {length, 1, -length, 1};
    default:
      return {-1, 0, -1, 0};
  }
}

Sizes make_sizes(const Conv1dProblem& problem, const SplitReductionCut& cut) {
  const TapProblem t = tap_problem(problem);
  const int64_t taps = most_taps(t.taps);
  const int64_t columns = t.taps.outputs(0, t.out_length);
  const int64_t block_columns = int64_t{kTileColumns} * cut.column_tiles;
  const SplitReductionStage stage = split_reduction_stage(problem, cut);
  Sizes sizes{static_cast<int>(t.in_length),
              static_cast<int>(t.out_length),
              static_cast<int>(t.group_inputs),
              static_cast<int>(t.group_outputs),
              static_cast<int>(taps),
              tap_multiplier(taps),
              0,
              static_cast<int>(t.taps.in_stride()),
              static_cast<int>(split_reduction_steps(problem)),
              static_cast<int>(columns),
              static_cast<int>((t.group_outputs + kTileRows - 1) / kTileRows),
              static_cast<int>((split_reduction_steps(problem) + cut.splits - 1) / cut.splits),
              static_cast<int>(stage.rows),
              static_cast<int>(stage.span),
              static_cast<int>(stage.stride),
              static_cast<int>(32 * cut.warps / stage.span),
              static_cast<uint32_t>((int64_t{1} << 32) / stage.span + 1),
              FastDivide((columns + block_columns - 1) / block_columns),
              FastDivide(t.taps.phases()),
              FastDivide(t.groups),
              border_of(t.padding_mode, static_cast<int>(t.in_length))};
  for (int r = 0; r < t.taps.phases(); ++r) {
    const PhaseTaps phase = t.taps.phase(r);
    sizes.phase[r] = {static_cast<int>(phase.count), static_cast<int>(phase.offset)};
    if (phase.count > 0) sizes.shift = static_cast<int>(phase.shift);
  }
  return sizes;
}

template <typename Math, SplitReductionInputs kInputs, int kRowTiles, int kColumnTiles>
void launch_tiles(const Conv1dProblem& problem, const SplitReductionCut& cut,
                  const SplitReductionOperands& o, CudaStream stream) {
  using T = typename Math::Element;
  const Sizes sizes = make_sizes(problem, cut);
  const int64_t count = problem.batch * problem.out_channels * problem.out_length;
  const Epilogue epilogue{o.bias, o.residual, problem.activation, problem.residual_activation};
  LaunchConfig config{"conv1d_split_reduction"};
  config.grid_x =
      problem.batch * problem.groups * sizes.phases.divisor() * sizes.column_blocks.divisor();
  config.grid_y = (sizes.row_tiles + kRowTiles - 1) / kRowTiles;
  config.grid_z = cut.splits;
  config.block = 32 * cut.warps;
  config.shared_bytes = split_reduction_shared_bytes(problem, cut);
  config.stream = stream;
  launch(split_reduction_kernel<Math, kInputs, kRowTiles, kColumnTiles>, config, sizes,
         static_cast<const T*>(o.input), static_cast<const uint4*>(o.weights), epilogue, o.partials,
         count, static_cast<T*>(o.output));
  if (cut.splits == 1) return;
  LaunchConfig add{"conv1d_split_reduction's sum", grid_for(count, 256)};
  add.stream = stream;
  launch(add_partials_kernel<T>, add, o.partials, cut.splits, count, FastDivide(problem.out_length),
         FastDivide(problem.out_channels), epilogue, static_cast<T*>(o.output));
}

template <typename Math>
void launch_math(const Conv1dProblem& problem, const SplitReductionCut& cut,
                 const SplitReductionOperands& operands, CudaStream stream) {
  using Inputs = SplitReductionInputs;
  const auto launch_as = [&](auto tiles) { tiles(problem, cut, operands, stream); };
  const int tiles = cut.row_tiles * 10 + cut.column_tiles;
  switch (cut.inputs) {
    case Inputs::kSingle:
      if (tiles == 11) return launch_as(launch_tiles<Math, Inputs::kSingle, 1, 1>);
      if (tiles == 12) return launch_as(launch_tiles<Math, Inputs::kSingle, 1, 2>);
      if (tiles == 14) return launch_as(launch_tiles<Math, Inputs::kSingle, 1, 4>);
      if (tiles == 24) return launch_as(launch_tiles<Math, Inputs::kSingle, 2, 4>);
      return launch_as(launch_tiles<Math, Inputs::kSingle, 4, 4>);
    case Inputs::kPaired:
      if (tiles == 12) return launch_as(launch_tiles<Math, Inputs::kPaired, 1, 2>);
      if (tiles == 24) return launch_as(launch_tiles<Math, Inputs::kPaired, 2, 4>);
      if (tiles == 44) return launch_as(launch_tiles<Math, Inputs::kPaired, 4, 4>);
      return launch_as(launch_tiles<Math, Inputs::kPaired, 2, 8>);
    case Inputs::kStaged:
      if (tiles == 12) return launch_as(launch_tiles<Math, Inputs::kStaged, 1, 2>);
      if (tiles == 14) return launch_as(launch_tiles<Math, Inputs::kStaged, 1, 4>);
      return launch_as(launch_tiles<Math, Inputs::kStaged, 2, 4>);
  }
}

}  // namespace

void split_reduction(const Conv1dProblem& problem, const SplitReductionCut& cut,
                     const SplitReductionOperands& operands, CudaStream stream) {
  const auto address = reinterpret_cast<uintptr_t>(operands.input);
  if (cut.inputs == SplitReductionInputs::kPaired && address % (2 * size_of(problem.dtype)) != 0) {
    SplitReductionCut single = cut;
    single.inputs = SplitReductionInputs::kSingle;
    single.column_tiles = cut.column_tiles < 4 ? cut.column_tiles : 4;
    return split_reduction(problem, single, operands, stream);
  }
  switch (problem.precision) {
    case Precision::kFp32:
      return launch_math<Fp32Math>(problem, cut, operands, stream);
    case Precision::kTf32:
      return launch_math<Tf32Math>(problem, cut, operands, stream);
    case Precision::kFp16:
      return launch_math<HalfMath<__half>>(problem, cut, operands, stream);
    case Precision::kBf16:
      return launch_math<HalfMath<__nv_bfloat16>>(problem, cut, operands, stream);
  }
}

}  // namespace engine::cuda
