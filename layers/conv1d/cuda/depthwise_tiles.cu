// Depthwise convolution by tiles in shared memory:
//   y[r, l] = f2(f(bias[m] + sum over k of w[m, k] * x[r / M, l S - left + k D]) + residual[r, l])
// for the rows r = b out_channels + m of y, with M = group_outputs. x and y are NCL.
//
// Threads: a block takes neighbouring groups of outputs (depthwise.h), of one row or of several. A
//   thread computes kOutputs of a group, `spacing` apart, class of taps by class of taps: the taps
//   of a class meet inputs `step` apart, so that each input is read from shared memory once and
//   stays in a sliding window of registers for kOutputs taps. kOutputs is odd, so that threads'
//   reads fall into different banks.
// Shared memory: the inputs of all outputs with their halo and padding, in f32; the outputs, laid
//   out as y is from a 16-byte boundary on, so that they are stored by aligned packs whatever the
//   length of a row; the taps.
// Bytes: y once; x once, and (K - 1) D + 1 - S elements again for each block.
// Requires: one input channel a group; shared memory for a block's inputs and outputs.
// Limited by memory up to about 40 taps (20 in 16-bit storage), then by FP32 issue: one load of
//   input and a quarter of taps for kOutputs multiply-adds.
#include "engine/cuda/fast_divide.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/depthwise.h"
#include "layers/conv1d/cuda/pack_epilogue.h"
#include "layers/conv1d/cuda/unaligned.h"

namespace engine::cuda {
namespace {

constexpr int kThreads = kDepthwiseTileThreads;

struct Tiles {
  int64_t in_length;
  int64_t in_rows;
  int64_t out_length;
  int64_t left;
  int64_t reach;         // padded positions that a row's outputs read
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
  int spacing;
  int classes;
  int step;
  int stride;
  int dilation;
  int taps;
  int class_taps;
  int tap_pitch;
  int input_floats;
  int output_floats;
  int team;      // threads that stage a row together; a power of two
  int out_skew;  // elements that y begins beyond a multiple of 16 bytes
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
  const int64_t last = min(first + p.block_groups, p.groups) - 1;
  Span span;
  span.first_row = p.by_row_groups.quotient(first);
  span.first_group = first - span.first_row * p.row_groups;
  span.last_row = p.by_row_groups.quotient(last);
  span.last_group = last - span.last_row * p.row_groups;
  return span;
}

// Staged inputs are numbered by rows from the span's first, row_packs packs each; a row begins at
// padded position 0, which is `left` before its first element.
template <typename T>
__device__ __forceinline__ int64_t first_pack(const Tiles& p, const Span& span) {
  return span.first_group * p.group_stride / kPackWidth<T>;
}

// The packs of one row that a block stages.
struct RowPart {
  int64_t begin;    // pack of the row
  int count;        // of packs
  int inner_begin;  // packs from here, counted from `begin`, hold real inputs only,
  int inner_count;  // this many
};

__device__ __forceinline__ int clamp_to(int64_t value, int most) {
  return static_cast<int>(max(min(value, int64_t{most}), int64_t{0}));
}

template <typename T>
__device__ __forceinline__ RowPart part_of(const Tiles& p, const Span& span, int64_t row,
                                           int64_t input_row) {
  constexpr int kWidth = kPackWidth<T>;
  RowPart part;
  part.begin = row == span.first_row ? first_pack<T>(p, span) : 0;
  const int64_t end = row == span.last_row ? (span.last_group * p.group_stride + p.group_reach +
                                              kWidth - 1) / kWidth
                                           : p.row_packs;
  part.count = static_cast<int>(end - part.begin);
  // Aligned loads reach up to a pack beyond a run: at the tensor's two ends that is too far.
  const int64_t low = p.left + (input_row == 0 ? kWidth : 0);
  const int64_t high = p.left + p.in_length - (input_row == p.in_rows - 1 ? kWidth : 0);
  part.inner_begin = clamp_to((low + kWidth - 1) / kWidth - part.begin, part.count);
  const int inner_end = clamp_to(high / kWidth - part.begin, part.count);
  part.inner_count = max(inner_end - part.inner_begin, 0);
  return part;
}

template <typename T>
__device__ __forceinline__ void store_floats(float* target, const float (&values)[kPackWidth<T>]) {
#pragma unroll
  for (int j = 0; j < kPackWidth<T>; j += 4) {
    *reinterpret_cast<float4*>(target + j) =
        make_float4(values[j], values[j + 1], values[j + 2], values[j + 3]);
  }
}

// Stages a row's part by the `team` threads of which this one is number `lane`.
template <typename T>
__device__ __forceinline__ void stage_row(const Tiles& p, const RowPart& part, int lane, int team,
                                          const T* x_row, float* target) {
  constexpr int kWidth = kPackWidth<T>;
  constexpr int kAtOnce = sizeof(T) == 4 ? 4 : 2;  // packs of a thread under way
  const int64_t begin = part.begin * kWidth;       // padded position
  for (int base = lane; base < part.count; base += team * kAtOnce) {
    Run<T, kWidth> runs[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int pack = base + i * team;
      const bool inner = pack >= part.inner_begin && pack - part.inner_begin < part.inner_count;
      runs[i].load(x_row + (begin - p.left) + pack * kWidth, inner);
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int pack = base + i * team;
      if (pack >= part.inner_begin && pack - part.inner_begin < part.inner_count) {
        float values[kWidth];
        runs[i].unpack(values);
        store_floats<T>(target + pack * kWidth, values);
      }
    }
  }
  const int edges = (part.count - part.inner_count) * kWidth;
  for (int i = lane; i < edges; i += team) {
    const int place = i < part.inner_begin * kWidth ? i : i + part.inner_count * kWidth;
    const int64_t padded = begin + place;
    target[place] = padded < p.reach
                        ? read_padded(x_row, padded - p.left, p.in_length, p.padding_mode)
                        : 0.0f;
  }
}

// A row's packs are shared out among a team of threads, rows among the teams.
template <typename T>
__device__ __forceinline__ void stage_inputs(const Tiles& p, const Span& span, const T* x,
                                             float* inputs) {
  const int teams = kThreads / p.team;
  const int number = threadIdx.x / p.team;
  for (int64_t row = span.first_row + number; row <= span.last_row; row += teams) {
    const int64_t input_row = p.by_multiplier.quotient(row);
    const RowPart part = part_of<T>(p, span, row, input_row);
    const int64_t place =
        (row - span.first_row) * p.row_packs + part.begin - first_pack<T>(p, span);
    stage_row(p, part, threadIdx.x % p.team, p.team, x + input_row * p.in_length,
              inputs + place * kPackWidth<T>);
  }
}

__device__ __forceinline__ void stage_taps(const Tiles& p, const Span& span, const float* weight,
                                           float* taps) {
  const int row_taps = p.classes * p.class_taps;
  const int count = static_cast<int>(span.last_row - span.first_row + 1) * row_taps;
#pragma unroll 4
  for (int i = threadIdx.x; i < count; i += kThreads) {
    const int row = i / row_taps;
    const int tap = i - row * row_taps;
    const int64_t channel = p.by_channels.remainder(span.first_row + row);
    taps[row * p.tap_pitch + tap] = __ldg(weight + channel * row_taps + tap);
  }
}

// Adds the products of one class of taps to kOutputs outputs: sum[j] += taps[k] x[(j + k) step].
template <int kOutputs, bool kUnitStep>
__device__ __forceinline__ void add_class(const float* x, int run_time_step, const float* taps,
                                          int count, float (&sum)[kOutputs]) {
  const int step = kUnitStep ? 1 : run_time_step;
  float window[kOutputs + 3];
#pragma unroll
  for (int j = 0; j < kOutputs - 1; ++j) window[j] = x[j * step];
  x += (kOutputs - 1) * step;
#pragma unroll 4
  for (; count >= 4; count -= 4) {
    const float4 four = *reinterpret_cast<const float4*>(taps);
    const float tap[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) window[kOutputs - 1 + i] = x[i * step];
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
    window[kOutputs - 1 + i] = x[i * step];
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
__device__ __forceinline__ void compute(const Tiles& p, const Span& span, const Pointers<T>& at,
                                        const float* inputs, const float* taps, float* outputs,
                                        int64_t first_output) {
  const int lane_group = kUnitStep ? threadIdx.x : threadIdx.x / p.spacing;
  const int residue = kUnitStep ? 0 : threadIdx.x - lane_group * p.spacing;
  if (lane_group >= p.block_groups) return;
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
  const int64_t place = (row * p.row_packs - first_pack<T>(p, span)) * kPackWidth<T> +
                        group * p.group_stride + residue * p.stride;
  const int64_t channel = p.by_channels.remainder(span.first_row + row);
  const float start = at.epilogue.bias ? __ldg(at.epilogue.bias + channel) : 0.0f;
  float sum[kOutputs];
#pragma unroll
  for (int j = 0; j < kOutputs; ++j) sum[j] = start;
  const float* x = inputs + place;
  const float* w = taps + row * p.tap_pitch;
  for (int c = 0; c < p.classes; ++c) {
    const int count = (p.taps - c + p.classes - 1) / p.classes;
    add_class<kOutputs, kUnitStep>(x + c * p.dilation, p.step, w + c * p.class_taps, count, sum);
  }
  const int64_t position = group * p.spacing * kOutputs + residue;
  const int64_t left = p.out_length - position;
  float* target = outputs + (row * p.out_length + position - first_output);
#pragma unroll
  for (int j = 0; j < kOutputs; ++j) {
    if (j * p.spacing < left) target[j * p.spacing] = sum[j];
  }
}

// Stores the block's outputs. outputs[0] is a pack's first element; the block's own begin `skip`
// later, at element `first` of y.
template <typename T>
__device__ __forceinline__ void store_outputs(const Tiles& p, const Pointers<T>& at, int64_t first,
                                              int skip, int count, const float* outputs) {
  constexpr int kWidth = kPackWidth<T>;
  for (int i = threadIdx.x * kWidth; i < skip + count; i += kThreads * kWidth) {
    float values[kWidth];
#pragma unroll
    for (int j = 0; j < kWidth; j += 4) {
      const float4 four = *reinterpret_cast<const float4*>(outputs + i + j);
      values[j] = four.x;
      values[j + 1] = four.y;
      values[j + 2] = four.z;
      values[j + 3] = four.w;
    }
    const int64_t index = first - skip + i;
    if (i >= skip && i + kWidth <= skip + count) {
      finish_pack(values, index, at.epilogue, p.residual_aligned, at.y);
      continue;
    }
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      if (i + j < skip || i + j >= skip + count) continue;
      at.y[index + j] = from_float<T>(finish<T>(values[j], index + j, at.epilogue));
    }
  }
}

template <typename T, int kOutputs, bool kUnitStep>
__global__ void __launch_bounds__(kThreads, kUnitStep ? 8 : 7) depthwise_tiles_kernel(const __grid_constant__ Tiles p, const __grid_constant__ Pointers<T> at) {
  extern __shared__ float4 shared[];
  auto* inputs = reinterpret_cast<float*>(shared);
  float* outputs = inputs + p.input_floats;
  float* taps = outputs + p.output_floats;
  const Span span = span_of(p);
  stage_taps(p, span, at.weight, taps);
  stage_inputs(p, span, at.x, inputs);
  __syncthreads();
  const int group_outputs = p.spacing * kOutputs;
  const int64_t first = output_of(p, span.first_row, span.first_group, group_outputs);
  const int64_t last = output_of(p, span.last_row, span.last_group + 1, group_outputs);
  const int skip = static_cast<int>((first + p.out_skew) & (kPackWidth<T> - 1));
  compute<T, kOutputs, kUnitStep>(p, span, at, inputs, taps, outputs + skip,
                                  first - span.first_row * p.out_length);
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

// As many threads as a row's packs keep busy.
int team_of(const DepthwiseTiles& tiles) {
  int team = 8;
  while (team < kThreads && team < tiles.row_packs) team *= 2;
  return team;
}

}  // namespace

void depthwise_tiles(const Conv1dProblem& c, const DepthwiseTiles& tiles,
                     const DepthwiseTensors& tensors, CudaStream stream) {
  with_float_type(c.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Pointers<T> at{static_cast<const T*>(tensors.input),
                         tensors.weight,
                         {tensors.bias, tensors.residual, c.activation, c.residual_activation},
                         static_cast<T*>(tensors.output)};
    Tiles p{.in_length = c.in_length,
            .in_rows = c.batch * c.in_channels,
            .out_length = c.out_length,
            .left = c.pad_left,
            .reach = (c.out_length - 1) * c.stride + (c.kernel_size - 1) * c.dilation + 1,
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
            .spacing = static_cast<int>(tiles.spacing),
            .classes = static_cast<int>(tiles.classes),
            .step = static_cast<int>(tiles.step),
            .stride = static_cast<int>(c.stride),
            .dilation = static_cast<int>(c.dilation),
            .taps = static_cast<int>(c.kernel_size),
            .class_taps = static_cast<int>(tiles.class_taps),
            .tap_pitch = static_cast<int>(tiles.tap_pitch),
            .input_floats = static_cast<int>(tiles.input_floats),
            .output_floats = static_cast<int>(tiles.output_floats),
            .team = team_of(tiles),
            .out_skew = skew_of(at.y),
            .residual_aligned = skew_of(static_cast<const T*>(tensors.residual)) == skew_of(at.y)};
    launch_tiles(tiles, p, at, tiles.blocks(c), stream);
  });
}

}  // namespace engine::cuda
