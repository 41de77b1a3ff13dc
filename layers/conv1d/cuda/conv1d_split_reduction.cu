// Conv1d of few outputs: batch 1 and short lengths, where time is latency.
//   y[b, g M + m, q R + r] = f2(f(bias[g M + m] + sum over c, i of w[g, m, c, first + i step] *
//                          x[b, g C + c, q S + offset + i shift]) + residual[b, g M + m, q R + r])
// for the R phases of Conv1d (one) and ConvTranspose1d (one for each remainder of the output
// position by the stride), as layers/conv1d/tap_problem.h defines them. x, y, residual are NCL.
//
// GEMM: for each sample, group and phase rows are output channels, columns output positions q, and
//   the reduction runs over c T + i, with T the most taps that a phase has. No matrix is built.
// Threads: a block computes kRowTiles x kColumnTiles tiles of 16 x 8 outputs by mma.sync. Its warps
//   take the steps of the reduction (8 terms, or 16 of a 16-bit type) in turn; a warp loads the
//   operands of several steps from global memory straight into registers before it uses the first.
//   Weights lie in the order of the fragments: one 16-byte load for a lane, step and row tile.
//   Inputs are loaded one by one, so that rows of every alignment cost the same; neighbouring taps
//   read the same lines, which come from the L1.
// Shared memory: the partial sums of the warps, added in the order of the warps, so that results do
//   not change from run to run.
// Splits: where even so too few blocks would work on a long reduction, several blocks share it:
//   they store f32 sums, and a second kernel adds them in order.
// fp32: operands are split in two TF32 parts whose three larger products are summed. A step starts
//   from zero and is added in fp32, since the tensor cores' own accumulation truncates. The fp32
//   result of an infinite input may be NaN.
// Bytes: weights once for each tile of columns, inputs once for each tile of rows, from the L2.
// Requires: sizes of one sample below 2^30, at least 4 output channels in each of several groups.
// Limited by latency: that of a launch, of one load from the L2, of two barriers.
#include <cstdint>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/conv1d_split_reduction.h"
#include "layers/conv1d/cuda/epilogue.h"

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
};

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
  int shift;      // input positions from one tap to the next
  int in_stride;  // input positions from one column to the next
  int reduction;  // C T
  int steps;      // of the reduction
  int columns;    // outputs of phase 0, which has the most
  int row_tiles;  // of a group
  FastDivide column_blocks;
  FastDivide phases;
  FastDivide groups;
  Border border;
  Phase phase[kSplitReductionPhases];
};

// r / T is the high word of 2 r * multiplier, for r T < 2^31.
uint32_t tap_multiplier(int64_t taps) {
  return static_cast<uint32_t>(((int64_t{1} << 31) + taps - 1) / taps);
}

// The arithmetic of a precision: an operand's element type, the terms of the reduction that a lane
// holds of a column (a step has four times as many), and a step's product.
// Fragments of a matrix instruction, for lane = 4 row + t: word e of A holds row + 8 (e % 2) and
// the terms of slots e / 2, slot j being term 4 j + t of the step. The instruction numbers the
// terms differently, but A and B agree, and a sum's terms may come in any order.
struct Fp32Math {
  using Element = float;
  static constexpr int kSlots = 2;

  static __device__ __forceinline__ uint32_t round(float value) {
    uint32_t rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(value));
    return rounded;
  }

  static __device__ __forceinline__ void multiply_parts(float (&sum)[4], const uint32_t (&a)[4],
                                                        uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }

  template <int kRowTiles, int kColumnTiles>
  static __device__ __forceinline__ void multiply(const uint4 (&a)[kRowTiles],
                                                  const float (&b)[kColumnTiles][2],
                                                  float (&sum)[kRowTiles][kColumnTiles][4]) {
    uint32_t b_big[kColumnTiles][2], b_small[kColumnTiles][2];
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) split(b[n][j], b_big[n][j], b_small[n][j]);
    }
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      const uint32_t words[4] = {a[m].x, a[m].y, a[m].z, a[m].w};
      uint32_t a_big[4], a_small[4];
#pragma unroll
      for (int e = 0; e < 4; ++e) split(__uint_as_float(words[e]), a_big[e], a_small[e]);
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
        float step[4] = {};
        multiply_parts(step, a_small, b_big[n][0], b_big[n][1]);
        multiply_parts(step, a_big, b_small[n][0], b_small[n][1]);
        multiply_parts(step, a_big, b_big[n][0], b_big[n][1]);
#pragma unroll
        for (int e = 0; e < 4; ++e) sum[m][n][e] += step[e];
      }
    }
  }

 private:
  static __device__ __forceinline__ void split(float value, uint32_t& big, uint32_t& small) {
    big = round(value);
    small = round(value - __uint_as_float(big));
  }
};

struct Tf32Math {
  using Element = float;
  static constexpr int kSlots = 2;

  template <int kRowTiles, int kColumnTiles>
  static __device__ __forceinline__ void multiply(const uint4 (&a)[kRowTiles],
                                                  const float (&b)[kColumnTiles][2],
                                                  float (&sum)[kRowTiles][kColumnTiles][4]) {
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
      const uint32_t b0 = Fp32Math::round(b[n][0]), b1 = Fp32Math::round(b[n][1]);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        const uint32_t words[4] = {a[m].x, a[m].y, a[m].z, a[m].w};
        Fp32Math::multiply_parts(sum[m][n], words, b0, b1);
      }
    }
  }
};

template <typename T>
struct HalfMath {
  using Element = T;
  static constexpr int kSlots = 4;

  static __device__ __forceinline__ uint32_t join(T low, T high) {
    uint16_t words[2];
    memcpy(words, &low, 2);
    memcpy(words + 1, &high, 2);
    return static_cast<uint32_t>(words[1]) << 16 | words[0];
  }

  template <int kRowTiles, int kColumnTiles>
  static __device__ __forceinline__ void multiply(const uint4 (&a)[kRowTiles],
                                                  const T (&b)[kColumnTiles][4],
                                                  float (&sum)[kRowTiles][kColumnTiles][4]) {
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
      const uint32_t b0 = join(b[n][0], b[n][1]), b1 = join(b[n][2], b[n][3]);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        float(&s)[4] = sum[m][n];
        if constexpr (std::is_same_v<T, __half>) {
          asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
              "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
              : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
              : "r"(a[m].x), "r"(a[m].y), "r"(a[m].z), "r"(a[m].w), "r"(b0), "r"(b1));
        } else {
          asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
              "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
              : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
              : "r"(a[m].x), "r"(a[m].y), "r"(a[m].z), "r"(a[m].w), "r"(b0), "r"(b1));
        }
      }
    }
  }
};

// *source, or zero unless `wanted`: a predicated load where the compiler would branch.
__device__ __forceinline__ float load_if(bool wanted, const float* source) {
  float value;
  asm("{ .reg .pred p; setp.ne.s32 p, %2, 0; mov.f32 %0, 0f00000000; @p ld.global.f32 %0, [%1]; }"
      : "=f"(value)
      : "l"(source), "r"(static_cast<int>(wanted)));
  return value;
}
template <typename T>
__device__ __forceinline__ T load_if(bool wanted, const T* source) {
  uint16_t bits;
  asm("{ .reg .pred p; setp.ne.s32 p, %2, 0; mov.u16 %0, 0; @p ld.global.u16 %0, [%1]; }"
      : "=h"(bits)
      : "l"(source), "r"(static_cast<int>(wanted)));
  return __builtin_bit_cast(T, bits);
}

// Loads a lane's inputs of one step: zeros beyond the reduction and in the padding. `position` is
// the input of the phase's first tap, for the column of each tile.
template <bool kZeroPadding, typename T, int kColumnTiles, int kSlots>
__device__ __forceinline__ void load_inputs(const Sizes& p, const T* x, int taps,
                                            const int (&position)[kColumnTiles], int first_term,
                                            T (&values)[kColumnTiles][kSlots]) {
#pragma unroll
  for (int j = 0; j < kSlots; ++j) {
    const int term = first_term + 4 * j;
    const int channel =
        static_cast<int>(__umulhi(2 * static_cast<uint32_t>(term), p.tap_multiplier));
    const int tap = term - channel * p.taps;
    const bool exists = term < p.reduction && tap < taps;
    const int shift = tap * p.shift;
    const int row = channel * p.in_length;
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
      int at = position[n] + shift;
      if constexpr (!kZeroPadding) {
        const bool before = at < 0, after = at >= p.in_length;
        const int scale = before ? p.border.before_scale : p.border.after_scale;
        const int offset = before ? p.border.before_offset : p.border.after_offset;
        at = before || after ? offset + scale * at : at;
      }
      const bool inside = static_cast<uint32_t>(at) < static_cast<uint32_t>(p.in_length);
      values[n][j] = load_if(exists && inside, x + (row + at));
    }
  }
}

template <typename Math, int kRowTiles, int kColumnTiles, bool kZeroPadding>
__global__ void __launch_bounds__(32 * split_reduction_most_warps(kRowTiles, kColumnTiles))
    split_reduction_kernel(const Sizes p, const typename Math::Element* x, const uint4* weights,
                           const Epilogue epilogue, float* partials, int64_t partial_count,
                           typename Math::Element* y) {
  using T = typename Math::Element;
  constexpr int kRows = kRowTiles * kTileRows;
  constexpr int kColumns = kColumnTiles * kTileColumns;
  constexpr int kOutputs = kRows * kColumns;
  constexpr int kSteps = split_reduction_unroll(kRowTiles, kColumnTiles, Math::kSlots);
  extern __shared__ float sums[];  // [warps][tiles][lanes][4], then the bias of each row

  const int warps = blockDim.x / 32;
  const int warp = __shfl_sync(0xffffffffu, threadIdx.x / 32, 0);
  const int lane = threadIdx.x % 32;

  int64_t index = p.column_blocks.quotient(blockIdx.x);
  const int first_column =
      static_cast<int>(blockIdx.x - index * p.column_blocks.divisor()) * kColumns;
  const int64_t sample_group = p.phases.quotient(index);
  const int phase = static_cast<int>(index - sample_group * p.phases.divisor());
  const int group = static_cast<int>(p.groups.remainder(sample_group));
  const int first_row = blockIdx.y * kRows;

  float bias = 0.0f;
  if (epilogue.bias != nullptr && threadIdx.x < kRows && first_row + threadIdx.x < p.outputs) {
    bias = epilogue.bias[group * p.outputs + first_row + threadIdx.x];
  }

  x += sample_group * p.inputs * p.in_length;
  const Phase taps = p.phase[phase];
  int position[kColumnTiles];
#pragma unroll
  for (int n = 0; n < kColumnTiles; ++n) {
    // Columns beyond the last repeat it and are not stored.
    const int column = min(first_column + n * kTileColumns + lane / 4, p.columns - 1);
    position[n] = column * p.in_stride + taps.offset;
  }
  const uint4* fragments[kRowTiles];
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
    const int tile = min(static_cast<int>(blockIdx.y) * kRowTiles + m, p.row_tiles - 1);
    fragments[m] =
        weights + ((group * p.phases.divisor() + phase) * p.row_tiles + tile) * p.steps * 32 + lane;
  }

  const int end = static_cast<int>(int64_t{p.steps} * (blockIdx.z + 1) / gridDim.z);
  int first = static_cast<int>(int64_t{p.steps} * blockIdx.z / gridDim.z) + warp;
  float sum[kRowTiles][kColumnTiles][4] = {};
  for (; first < end; first += warps * kSteps) {
    uint4 a[kSteps][kRowTiles];
    T b[kSteps][kColumnTiles][Math::kSlots];
#pragma unroll
    for (int u = 0; u < kSteps; ++u) {
      const int step = first + u * warps;
      if (step < end) {
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) a[u][m] = __ldg(fragments[m] + int64_t{step} * 32);
        load_inputs<kZeroPadding>(p, x, taps.count, position, step * 4 * Math::kSlots + lane % 4,
                                  b[u]);
      }
    }
#pragma unroll
    for (int u = 0; u < kSteps; ++u) {
      if (first + u * warps < end) Math::multiply(a[u], b[u], sum);
    }
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
  float* row_bias = sums + warps * kOutputs;
  if (threadIdx.x < kRows) row_bias[threadIdx.x] = bias;
  __syncthreads();

  const int64_t first_channel = sample_group * p.outputs;
  for (int i = threadIdx.x; i < kOutputs; i += blockDim.x) {
    // Value i % 4 of a lane: row lane / 4, or 8 below it, and column 2 (lane % 4), or the next.
    const int tile = i / kTileOutputs;
    const int row = tile / kColumnTiles * kTileRows + i % kTileOutputs / 16 + i / 2 % 2 * 8;
    const int column = tile % kColumnTiles * kTileColumns + i / 4 % 4 * 2 + i % 2;
    const int output = (first_column + column) * static_cast<int>(p.phases.divisor()) + phase;
    if (first_row + row >= p.outputs || output >= p.out_length) continue;
    float value = sums[i];
    for (int w = 1; w < warps; ++w) value += sums[w * kOutputs + i];
    const int64_t at = (first_channel + first_row + row) * p.out_length + output;
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
      return {};
  }
}

Sizes make_sizes(const Conv1dProblem& problem, const SplitReductionCut& cut) {
  const TapProblem t = tap_problem(problem);
  const int64_t taps = most_taps(t.taps);
  const int64_t columns = t.taps.outputs(0, t.out_length);
  const int64_t block_columns = int64_t{kTileColumns} * cut.column_tiles;
  const int64_t depth = split_reduction_depth(problem.dtype);
  Sizes sizes{static_cast<int>(t.in_length),
              static_cast<int>(t.out_length),
              static_cast<int>(t.group_inputs),
              static_cast<int>(t.group_outputs),
              static_cast<int>(taps),
              tap_multiplier(taps),
              0,
              static_cast<int>(t.taps.in_stride()),
              static_cast<int>(t.group_inputs * taps),
              static_cast<int>((t.group_inputs * taps + depth - 1) / depth),
              static_cast<int>(columns),
              static_cast<int>((t.group_outputs + kTileRows - 1) / kTileRows),
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

template <typename Math, int kRowTiles, int kColumnTiles, bool kZeroPadding>
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
  config.shared_bytes =
      (int64_t{cut.warps} * kRowTiles * kColumnTiles * kTileOutputs + kRowTiles * kTileRows) *
      static_cast<int64_t>(sizeof(float));
  config.stream = stream;
  launch(split_reduction_kernel<Math, kRowTiles, kColumnTiles, kZeroPadding>, config, sizes,
         static_cast<const T*>(o.input), static_cast<const uint4*>(o.weights), epilogue, o.partials,
         count, static_cast<T*>(o.output));
  if (cut.splits == 1) return;
  LaunchConfig add{"conv1d_split_reduction's sum", grid_for(count, 256)};
  add.stream = stream;
  launch(add_partials_kernel<T>, add, o.partials, cut.splits, count, FastDivide(problem.out_length),
         FastDivide(problem.out_channels), epilogue, static_cast<T*>(o.output));
}

template <typename Math, int kRowTiles, int kColumnTiles>
void launch_padding(const Conv1dProblem& problem, const SplitReductionCut& cut,
                    const SplitReductionOperands& operands, CudaStream stream) {
  if (problem.padding_mode == PaddingMode::kZeros) {
    launch_tiles<Math, kRowTiles, kColumnTiles, true>(problem, cut, operands, stream);
  } else {
    launch_tiles<Math, kRowTiles, kColumnTiles, false>(problem, cut, operands, stream);
  }
}

template <typename Math>
void launch_math(const Conv1dProblem& problem, const SplitReductionCut& cut,
                 const SplitReductionOperands& operands, CudaStream stream) {
  if (cut.row_tiles == 2) return launch_padding<Math, 2, 4>(problem, cut, operands, stream);
  switch (cut.column_tiles) {
    case 1:
      return launch_padding<Math, 1, 1>(problem, cut, operands, stream);
    case 2:
      return launch_padding<Math, 1, 2>(problem, cut, operands, stream);
    default:
      return launch_padding<Math, 1, 4>(problem, cut, operands, stream);
  }
}

}  // namespace

void split_reduction(const Conv1dProblem& problem, const SplitReductionCut& cut,
                     const SplitReductionOperands& operands, CudaStream stream) {
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
