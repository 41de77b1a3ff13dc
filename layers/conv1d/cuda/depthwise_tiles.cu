// Depthwise convolution by tiles in shared memory:
//   y[r, l] = f2(f(sum over k of w[m, k] * x[r / M, l S - left + k D] + bias[m]) + residual[r, l])
// for the rows r = b out_channels + m of y, with M = group_outputs. x and y are NCL.
//
// Threads: a block takes neighbouring groups of outputs (depthwise.h), of one row or of several. A
//   thread computes kOutputs of a group, `spacing` apart, class of taps by class of taps: the taps
//   of a class meet inputs `step` apart, so that each input is read from shared memory once and
//   stays in a sliding window of registers for kOutputs taps. kOutputs is odd, so that threads'
//   reads fall into different banks.
// Shared memory: the inputs of all outputs with their halo and padding, each row from a place that
//   is aligned as the row is in memory, so that whole packs of 16 bytes are copied; the outputs,
//   laid out as y is from a 16-byte boundary on, so that they are stored by aligned packs whatever
//   the length of a row; the rows' taps and biases.
// Bytes: y once; x once, and (K - 1) D + 1 - S elements again for each block.
// Requires: one input channel a group; shared memory for a block's inputs and outputs.
// Limited by memory up to about 12 taps in f32, else by instruction issue: one load of input and a
//   quarter of one of taps for kOutputs multiply-adds. On an H200, f32: 99% of copy bandwidth for 3
//   taps 64 apart on 8 x 512 rows of 32000, 40 TFLOP/s for 255 taps on rows of 4000.
#include "engine/cuda/fast_divide.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/copy_async.h"
#include "layers/conv1d/cuda/depthwise.h"
#include "layers/conv1d/cuda/pack_epilogue.h"
#include "layers/conv1d/cuda/stage_row.h"
#include "layers/conv1d/cuda/unaligned.h"

namespace engine::cuda {
namespace {

constexpr int kThreads = kDepthwiseTileThreads;

struct Tiles {
  int64_t in_length;
  int64_t out_length;
  int64_t left;
  int64_t groups;        // of all rows
  int64_t row_groups;    // of one
  int64_t row_packs;     // staged packs of a row
  int64_t group_stride;  // padded positions from one group to the next
  int64_t group_reach;   // padded positions that a group reads
  FastDivide by_row_groups;
  FastDivide by_channels;
  FastDivide by_multiplier;
  PaddingMode padding_mode;
  int block_groups;
  int lane_groups;  // that a block's threads compute at a time
  int spacing;
  int classes;
  int step;
  int stride;
  int dilation;
  int taps;
  int class_taps;
  int bias_place;
  int tap_pitch;
  int weight_pitch;  // of a channel in global memory
  int input_packs;
  int output_floats;
  int in_skew;    // elements that x begins beyond a multiple of 16 bytes
  int team_log2;  // of the threads that stage a row together
  int out_skew;   // elements that y begins beyond a multiple of 16 bytes
  bool residual_aligned;
};

template <typename T>
struct Pointers {
  const T* x;
  const float* weight;
  Epilogue epilogue;
  T* y;
};

// The groups of a block: from group `first_group` of row `first_row` to `last_group` of `last_row`.
struct Span {
  int64_t first_row;
  int64_t first_group;
  int64_t last_row;
  int64_t last_group;
};

__device__ __forceinline__ Span span_of(const Tiles& p) {
  const int64_t first = int64_t{blockIdx.x} * p.block_groups;
  Span span;
  span.first_row = p.by_row_groups.quotient(first);
  span.first_group = first - span.first_row * p.row_groups;
  span.last_row = span.first_row;
  span.last_group = span.first_group + min(int64_t{p.block_groups}, p.groups - first) - 1;
  if (span.last_group >= p.row_groups) {
    const int64_t rows = p.by_row_groups.quotient(span.last_group);
    span.last_row += rows;
    span.last_group -= rows * p.row_groups;
  }
  return span;
}

// Staged inputs are numbered by rows from the span's first, row_packs packs each; a row begins at
// padded position 0, which is `left` before its first element.
template <typename T>
__device__ __forceinline__ int64_t first_pack(const Tiles& p, const Span& span) {
  return span.first_group * p.group_stride / kPackWidth<T>;
}

// Elements before a row's padded position 0 in the pack that holds it.
template <typename T>
__device__ __forceinline__ int row_skew(const Tiles& p, int64_t input_row) {
  return static_cast<int>((input_row * p.in_length + p.in_skew - p.left) & (kPackWidth<T> - 1));
}

// The packs of one row that a block stages.
template <typename T>
__device__ __forceinline__ RowPart part_of(const Tiles& p, const Span& span, int64_t row,
                                           int skew) {
  constexpr int kWidth = kPackWidth<T>;
  const int64_t begin = row == span.first_row ? first_pack<T>(p, span) * kWidth : 0;
  const int64_t last = row == span.last_row ? span.last_group : p.row_groups - 1;
  const int64_t end = last * p.group_stride + p.group_reach;
  return row_part<T>(begin - p.left - skew, 0,
                     static_cast<int>((end - begin + skew + kWidth - 1) / kWidth), p.in_length);
}

// A row's inputs and taps are shared out among a team of threads, rows among the teams.
template <typename T>
__device__ __forceinline__ void stage(const Tiles& p, const Span& span, const Pointers<T>& at,
                                      uint4* inputs, float* taps) {
  const int team = 1 << p.team_log2;
  const int lane = threadIdx.x & (team - 1);
  const int64_t skipped = first_pack<T>(p, span);
  const int rows = static_cast<int>(span.last_row - span.first_row) + 1;
#pragma unroll 1
  for (int i = threadIdx.x >> p.team_log2; i < rows; i += kThreads >> p.team_log2) {
    const int64_t row = span.first_row + i;
    const int64_t input_row = p.by_multiplier.quotient(row);
    const RowPart part = part_of<T>(p, span, row, row_skew<T>(p, input_row));
    stage_row<T, 2>(part, at.x + input_row * p.in_length, p.in_length, p.padding_mode, lane, team,
                    inputs + (i == 0 ? 0 : i * p.row_packs - skipped));
    const float* source = at.weight + p.by_channels.remainder(row) * p.weight_pitch;
    for (int k = 4 * lane; k < p.weight_pitch; k += 4 * team) {
      copy_async_16(taps + i * p.tap_pitch + k, source + k);
    }
  }
}

// Adds the products of one class of taps to kOutputs outputs: sum[j] += taps[k] x[(j + k) step].
template <typename T, int kOutputs, bool kUnitStep>
__device__ __forceinline__ void add_class(const T* x, int run_time_step, const float* taps,
                                          int count, float (&sum)[kOutputs]) {
  const int step = kUnitStep ? 1 : run_time_step;
  float window[kOutputs + 3];
#pragma unroll
  for (int j = 0; j < kOutputs - 1; ++j) window[j] = to_float(x[j * step]);
  x += (kOutputs - 1) * step;
#pragma unroll 4
  for (; count >= 4; count -= 4) {
    const float4 four = *reinterpret_cast<const float4*>(taps);
    const float tap[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) window[kOutputs - 1 + i] = to_float(x[i * step]);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < kOutputs; ++j) sum[j] = fmaf(tap[i], window[i + j], sum[j]);
    }
#pragma unroll
    for (int j = 0; j < kOutputs - 1; ++j) window[j] = window[j + 4];
    x += 4 * step;
    taps += 4;
  }
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    if (i >= count) break;
    window[kOutputs - 1 + i] = to_float(x[i * step]);
#pragma unroll
    for (int j = 0; j < kOutputs; ++j) sum[j] = fmaf(taps[i], window[i + j], sum[j]);
  }
}

// Element of y, counted from the first row of the span.
__device__ __forceinline__ int64_t output_of(const Tiles& p, int64_t row, int64_t group,
                                             int group_outputs) {
  return row * p.out_length + min(group * group_outputs, p.out_length);
}

template <typename T, int kOutputs, bool kUnitStep>
__device__ __forceinline__ void compute(const Tiles& p, const Span& span, const T* inputs,
                                        const float* taps, float* outputs, int64_t first_output,
                                        int lane_group, int residue) {
  int64_t group = span.first_group + lane_group;
  int64_t row = 0;  // from the span's first
  if (group >= p.row_groups) {
    row = p.by_row_groups.quotient(group);
    group -= row * p.row_groups;
  }
  if (span.first_row + row > span.last_row ||
      (span.first_row + row == span.last_row && group > span.last_group)) {
    return;
  }
  const int skew = row_skew<T>(p, p.by_multiplier.quotient(span.first_row + row));
  const T* x = inputs + (row * p.row_packs - first_pack<T>(p, span)) * kPackWidth<T> + skew +
               group * p.group_stride + residue * p.stride;
  const float* w = taps + row * p.tap_pitch;
  float sum[kOutputs] = {};
  const int classes = kUnitStep ? 1 : p.classes;
  for (int c = 0; c < classes; ++c) {
    const int count = kUnitStep ? p.taps : (p.taps - c + classes - 1) / classes;
    add_class<T, kOutputs, kUnitStep>(x + c * p.dilation, p.step, w + c * p.class_taps, count, sum);
  }
  const float bias = w[p.bias_place];
#pragma unroll
  for (int j = 0; j < kOutputs; ++j) sum[j] += bias;
  const int spacing = kUnitStep ? 1 : p.spacing;
  const int64_t position = group * spacing * kOutputs + residue;
  float* target = outputs + (row * p.out_length + position - first_output);
  if (position + (kOutputs - 1) * spacing < p.out_length) {
#pragma unroll
    for (int j = 0; j < kOutputs; ++j) target[j * spacing] = sum[j];
    return;
  }
#pragma unroll
  for (int j = 0; j < kOutputs; ++j) {
    if (position + j * spacing < p.out_length) target[j * spacing] = sum[j];
  }
}

// Stores the block's outputs. outputs[0] is a pack's first element; the block's own begin `skip`
// later, at element `first` of y.
template <typename T>
__device__ __forceinline__ void store_outputs(const Tiles& p, const Pointers<T>& at, int64_t first,
                                              int skip, int count, const float* outputs) {
  constexpr int kWidth = kPackWidth<T>;
  const int64_t start = first - skip;  // element of y
  const int end = skip + count;
  const int whole_begin = skip == 0 ? 0 : kWidth;
  const int whole_end = end & -kWidth;
  const bool only_bias = at.epilogue.only_bias();
  for (int i = whole_begin + threadIdx.x * kWidth; i < whole_end; i += kThreads * kWidth) {
    float values[kWidth];
#pragma unroll
    for (int j = 0; j < kWidth; j += 4) {
      const float4 four = *reinterpret_cast<const float4*>(outputs + i + j);
      values[j] = four.x;
      values[j + 1] = four.y;
      values[j + 2] = four.z;
      values[j + 3] = four.w;
    }
    if (only_bias) {
      store_pack(at.y + start + i, PackRange(0, kWidth), true, values);
    } else {
      finish_pack(values, start + i, PackRange(0, kWidth), at.epilogue, p.residual_aligned, at.y);
    }
  }
  // The ends: what the first pack and the last hold of the block's.
  const int i =
      threadIdx.x < kWidth ? threadIdx.x : max(whole_begin, whole_end) + threadIdx.x - kWidth;
  const bool in_first = threadIdx.x < kWidth && skip > 0 && i >= skip && i < end;
  const bool in_last = threadIdx.x >= kWidth && threadIdx.x < 2 * kWidth && i < end;
  if (in_first || in_last) {
    at.y[start + i] = from_float<T>(finish<T>(outputs[i], start + i, at.epilogue));
  }
}

template <typename T, int kOutputs, bool kUnitStep>
__global__ void __launch_bounds__(kThreads, 7)
    depthwise_tiles_kernel(const __grid_constant__ Tiles p,
                           const __grid_constant__ Pointers<T> at) {
  extern __shared__ uint4 inputs[];
  auto* outputs = reinterpret_cast<float*>(inputs + p.input_packs);
  float* taps = outputs + p.output_floats;
  const Span span = span_of(p);
  stage(p, span, at, inputs, taps);
  wait_for_copies();
  __syncthreads();
  const int group_outputs = p.spacing * kOutputs;
  const int64_t first = output_of(p, span.first_row, span.first_group, group_outputs);
  const int64_t last = output_of(p, span.last_row, span.last_group + 1, group_outputs);
  const int skip = static_cast<int>((first + p.out_skew) & (kPackWidth<T> - 1));
  const int lane_group = kUnitStep ? threadIdx.x : threadIdx.x / p.spacing;
  const int residue = kUnitStep ? 0 : threadIdx.x - lane_group * p.spacing;
  if (lane_group < p.lane_groups) {
#pragma unroll 1
    for (int group = lane_group; group < p.block_groups; group += p.lane_groups) {
      compute<T, kOutputs, kUnitStep>(p, span, reinterpret_cast<const T*>(inputs), taps,
                                      outputs + skip, first - span.first_row * p.out_length, group,
                                      residue);
    }
  }
  __syncthreads();
  store_outputs(p, at, first, skip, static_cast<int>(last - first), outputs);
}

template <typename T>
void launch_tiles(const DepthwiseTiles& tiles, const Tiles& p, const Pointers<T>& at,
                  int64_t blocks, CudaStream stream) {
  LaunchConfig config{"depthwise_tiles", blocks};
  config.block = kThreads;
  config.shared_bytes = tiles.shared_bytes();
  config.stream = stream;
  const bool unit = tiles.step == 1;
  if (tiles.per_thread == 15) {
    launch(unit ? depthwise_tiles_kernel<T, 15, true> : depthwise_tiles_kernel<T, 15, false>,
           config, p, at);
  } else {
    launch(unit ? depthwise_tiles_kernel<T, 7, true> : depthwise_tiles_kernel<T, 7, false>, config,
           p, at);
  }
}

// Teams as large as a row's packs keep busy, and as leave none of a block's rows waiting.
int team_log2(const DepthwiseTiles& tiles) {
  int log2 = 3;
  while ((1 << log2) < kThreads && (1 << log2) < tiles.row_packs &&
         (tiles.rows - 1) << log2 < kThreads) {
    ++log2;
  }
  return log2;
}

}  // namespace

void depthwise_tiles(const Conv1dProblem& c, const DepthwiseTiles& tiles,
                     const DepthwiseTensors& tensors, CudaStream stream) {
  with_float_type(c.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Pointers<T> at{static_cast<const T*>(tensors.input),
                         tensors.weight,
                         {nullptr, tensors.residual, c.activation, c.residual_activation},
                         static_cast<T*>(tensors.output)};
    Tiles p{.in_length = c.in_length,
            .out_length = c.out_length,
            .left = c.pad_left,
            .groups = c.batch * c.out_channels * tiles.row_groups,
            .row_groups = tiles.row_groups,
            .row_packs = tiles.row_packs,
            .group_stride = tiles.spacing * tiles.per_thread * c.stride,
            .group_reach = (tiles.spacing * tiles.per_thread - 1) * c.stride +
                           (c.kernel_size - 1) * c.dilation + 1,
            .by_row_groups = FastDivide(tiles.row_groups),
            .by_channels = FastDivide(c.out_channels),
            .by_multiplier = FastDivide(c.group_outputs()),
            .padding_mode = c.padding_mode,
            .block_groups = static_cast<int>(tiles.block_groups),
            .lane_groups = static_cast<int>(kThreads / tiles.spacing),
            .spacing = static_cast<int>(tiles.spacing),
            .classes = static_cast<int>(tiles.weights.classes),
            .step = static_cast<int>(tiles.step),
            .stride = static_cast<int>(c.stride),
            .dilation = static_cast<int>(c.dilation),
            .taps = static_cast<int>(c.kernel_size),
            .class_taps = static_cast<int>(tiles.weights.class_taps),
            .bias_place = static_cast<int>(tiles.weights.bias_place()),
            .tap_pitch = static_cast<int>(tiles.tap_pitch),
            .weight_pitch = static_cast<int>(tiles.weights.pitch()),
            .input_packs = static_cast<int>(tiles.input_packs),
            .output_floats = static_cast<int>(tiles.output_floats),
            .in_skew = skew_of(at.x),
            .team_log2 = team_log2(tiles),
            .out_skew = skew_of(at.y),
            .residual_aligned = skew_of(static_cast<const T*>(tensors.residual)) == skew_of(at.y)};
    launch_tiles(tiles, p, at, tiles.blocks(c), stream);
  });
}

}  // namespace engine::cuda
