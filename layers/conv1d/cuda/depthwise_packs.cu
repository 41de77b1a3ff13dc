// Depthwise convolution of few taps, by packs:
//   y[r, l] = f2(f(sum over k of w[m, k] * x[r / M, l - left + k D] + bias[m]) + residual[r, l])
// for the rows r = b out_channels + m of y, with M = group_outputs. x and y are NCL.
//
// Threads: a warp computes a segment of one row, a pack of 16 bytes of y for each lane at a time.
//   Packs count from the 16-byte boundaries of y's memory, so that all stores but a row's first and
//   last are whole and aligned, whatever the length of a row.
// Shared memory: the segment's inputs, padding included, for each warp its own, aligned to cache
//   lines as they are in memory, so that whole packs are copied. A pack's inputs are read by whole
//   packs and shifted into place in registers, by as much for all lanes, before they are unpacked.
//   Where D is longer than a segment, each tap's inputs are staged apart; where they are too many,
//   some taps' at a time. Up to 8 neighbouring taps are in registers.
// Bytes: y once; x once, and (K - 1) D elements again for each segment, from L2.
// Requires: one input channel a group; stride 1.
// Limited by memory up to 8 taps, or 3 that are apart, then by instruction issue. On an H200, of
//   copy bandwidth: 97% in f32 and 96% in 16 bits for 3 taps 64 apart on 8 x 512 rows of 32000, 95%
//   and 87 to 91% for 4 taps on 8 x 4096 rows of 4099.
#include "engine/cuda/device_access.h"
#include "engine/cuda/fast_divide.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/depthwise.h"
#include "layers/conv1d/cuda/pack_epilogue.h"
#include "layers/conv1d/cuda/stage_row.h"
#include "layers/conv1d/cuda/unaligned.h"

namespace engine::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = kDepthwisePackWarps;
constexpr int kLineBytes = 128;  // of a cache line

struct Packs {
  int64_t in_length;
  int64_t out_length;
  int64_t left;
  int64_t segments;  // of all rows
  FastDivide by_row_segments;
  FastDivide by_channels;
  FastDivide by_multiplier;
  PaddingMode padding_mode;
  int row_segments;
  int segment;  // outputs; whole passes
  int dilation;
  int staged_dilation;  // in shared memory
  int taps;
  int group_taps;  // staged at a time
  int warp_packs;  // of shared memory
  int bias_place;  // behind a channel's taps
  int pitch;       // of a channel's taps and bias
  int out_skew;    // elements that y begins beyond a multiple of 32 bytes
  bool residual_aligned;
};

template <typename T>
struct Pointers {
  const T* x;
  const float* weight;
  Epilogue epilogue;
  T* y;
};

// What a warp computes: outputs [begin, end), counted from its first pack's first element.
struct Segment {
  int64_t row;
  int64_t position;  // in the row, of the first pack; negative where it begins before the row
  int begin;
  int end;
};

template <typename T>
__device__ __forceinline__ Segment segment_of(const Packs& p, int64_t index) {
  constexpr int kSector = 2 * kPackWidth<T>;
  Segment segment;
  segment.row = p.by_row_segments.quotient(index);
  const int64_t number = index - segment.row * p.row_segments;
  const int skew = static_cast<int>(segment.row * p.out_length + p.out_skew) & (kSector - 1);
  segment.position = number * p.segment - skew;
  segment.begin = number == 0 ? skew : 0;
  segment.end =
      static_cast<int>(max(min(p.out_length - segment.position, int64_t{p.segment}), int64_t{0}));
  return segment;
}

// Where a segment's inputs are.
template <typename T>
struct Source {
  const T* row;      // of x
  int64_t position;  // in the row, of the first output's first input; may be negative
  int skip;          // elements before it in its cache line
};

template <typename T>
__device__ __forceinline__ Source<T> source_of(const Packs& p, const Segment& segment, const T* x) {
  Source<T> source;
  source.row = x + p.by_multiplier.quotient(segment.row) * p.in_length;
  source.position = segment.position - p.left;
  const auto address = reinterpret_cast<uintptr_t>(source.row + source.position);
  source.skip = static_cast<int>(address % kLineBytes / sizeof(T));
  return source;
}

// Stages the inputs that `outputs` outputs need for a group of taps from `first_tap` on: those of
// tap first_tap + k for output j go to element skip + k staged_dilation + j. Whole cache lines are
// read.
template <typename T>
__device__ __forceinline__ void stage(const Packs& p, const Source<T>& source, int first_tap,
                                      int outputs, int lane, uint4* inputs) {
  constexpr int kWidth = kPackWidth<T>;
  constexpr int kLine = kLineBytes / sizeof(T);
  const int taps = min(p.group_taps, p.taps - first_tap);
  const bool apart = p.staged_dilation < p.dilation;
  const int reach = apart ? outputs : outputs + (taps - 1) * p.dilation;
#pragma unroll 1
  for (int k = 0; k < (apart ? taps : 1); ++k) {
    const int place = source.skip + k * p.staged_dilation;
    const int skip = place & (kLine - 1);
    const int64_t first = source.position + int64_t{first_tap + k} * p.dilation - skip;
    const RowPart part =
        row_part<T>(first, skip / kWidth, (skip + reach + kWidth - 1) / kWidth, p.in_length);
    stage_row<T, 4>(part, source.row, p.in_length, p.padding_mode, lane, kWarp,
                    inputs + (place - skip) / kWidth);
  }
  wait_for_copies();
  __syncwarp();
}

// kCount taps, in memory aligned to 16 bytes.
template <int kCount>
__device__ __forceinline__ void load_taps(const float* taps, float (&values)[kCount]) {
#pragma unroll
  for (int k = 0; k < kCount; k += 4) {
    const float4 four = __ldg(reinterpret_cast<const float4*>(taps + k));
    values[k] = four.x;
    values[k + 1] = four.y;
    values[k + 2] = four.z;
    values[k + 3] = four.w;
  }
}

// Taps of a channel in registers, and its bias. kTaps = 0: in memory.
template <int kTaps>
struct Taps {
  float values[kTaps / 4 * 4 + 4];

  __device__ __forceinline__ Taps(const Packs&, const float* taps) { load_taps(taps, values); }
  __device__ __forceinline__ float bias() const { return values[kTaps]; }
};
template <>
struct Taps<0> {
  const float* source;
  float bias_value;

  __device__ __forceinline__ Taps(const Packs& p, const float* taps)
      : source(taps), bias_value(__ldg(taps + p.bias_place)) {}
  __device__ __forceinline__ float bias() const { return bias_value; }
};

// Adds the products of kTaps neighbouring taps to a pack of outputs.
template <typename T, int kTaps>
__device__ __forceinline__ void add_dense(const uint4* packs, int skip, const Taps<kTaps>& taps,
                                          float (&sum)[kPackWidth<T>]) {
  constexpr int kWidth = kPackWidth<T>;
  float values[kWidth + kTaps - 1];
  read_run<T>(packs, skip, values);
#pragma unroll
  for (int k = 0; k < kTaps; ++k) {
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(taps.values[k], values[k + j], sum[j]);
  }
}

// The pack's worth of elements from word kWord of two neighbouring packs on.
template <typename T, int kWord>
__device__ __forceinline__ void align_packs(const uint4& pack, const uint4& next, int odd,
                                            float* values) {
  const uint32_t words[8] = {pack.x, pack.y, pack.z, pack.w, next.x, next.y, next.z, next.w};
  float aligned[kPackWidth<T>];
  unpack_words<T>(words + kWord, odd, aligned);
#pragma unroll
  for (int j = 0; j < kPackWidth<T>; ++j) values[j] = aligned[j];
}

// Adds the products of `count` neighbouring taps in memory, a pack's width of them at a time. Each
// input is unpacked once.
template <typename T, int kWord>
__device__ __forceinline__ void add_many(const uint4* packs, int odd, const float* taps, int count,
                                         float (&sum)[kPackWidth<T>]) {
  constexpr int kWidth = kPackWidth<T>;
  float values[2 * kWidth], tap[kWidth];
  uint4 next = packs[1];
  align_packs<T, kWord>(packs[0], next, odd, values);
  packs += 2;
#pragma unroll 2
  for (; count >= kWidth; count -= kWidth) {
    load_taps(taps, tap);
    const uint4 pack = next;
    next = *packs;
    align_packs<T, kWord>(pack, next, odd, values + kWidth);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
#pragma unroll
      for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(tap[k], values[k + j], sum[j]);
    }
#pragma unroll
    for (int j = 0; j < kWidth; ++j) values[j] = values[kWidth + j];
    taps += kWidth;
    ++packs;
  }
  if (count == 0) return;
  load_taps(taps, tap);
  align_packs<T, kWord>(next, *packs, odd, values + kWidth);
#pragma unroll
  for (int k = 0; k < kWidth - 1; ++k) {
    if (k >= count) break;
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(tap[k], values[k + j], sum[j]);
  }
}

// Adds the product of one tap, `place` elements behind `packs`.
template <typename T>
__device__ __forceinline__ void add_tap(const uint4* packs, int place, float tap,
                                        float (&sum)[kPackWidth<T>]) {
  constexpr int kWidth = kPackWidth<T>;
  float values[kWidth];
  read_run<T>(packs + place / kWidth, place & (kWidth - 1), values);
#pragma unroll
  for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(tap, values[j], sum[j]);
}

// Adds the products of the staged taps, first_tap and those behind it.
template <typename T, int kTaps, bool kDense>
__device__ __forceinline__ void add_staged(const Packs& p, const uint4* packs, int skip,
                                           int first_tap, const Taps<kTaps>& taps,
                                           float (&sum)[kPackWidth<T>]) {
  const int count = min(p.group_taps, p.taps - first_tap);
  if constexpr (kDense && kTaps > 0) {
    add_dense<T>(packs, skip, taps, sum);
  } else if constexpr (kDense) {
    with_first_word<T>(skip, [&](auto word) {
      add_many<T, word>(packs, skip & (kWordWidth<T> - 1), taps.source + first_tap, count, sum);
    });
  } else if constexpr (kTaps > 0) {
#pragma unroll
    for (int k = 0; k < kTaps; ++k) {
      add_tap<T>(packs, skip + k * p.staged_dilation, taps.values[k], sum);
    }
  } else {
#pragma unroll 1
    for (int k = 0; k < count; ++k) {
      add_tap<T>(packs, skip + k * p.staged_dilation, __ldg(taps.source + first_tap + k), sum);
    }
  }
}

template <typename T, int kTaps, bool kDense>
__global__ void __launch_bounds__(kWarp* kWarps, 8)
    depthwise_packs_kernel(const __grid_constant__ Packs p,
                           const __grid_constant__ Pointers<T> at) {
  constexpr int kWidth = kPackWidth<T>;
  constexpr int kPass = kWarp * kWidth;
  // The same for the whole warp, and said so.
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarp, 0);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t index = int64_t{blockIdx.x} * kWarps + warp;
  if (index >= p.segments) return;
  const Segment segment = segment_of<T>(p, index);
  if (segment.end <= segment.begin) return;
  const Source<T> source = source_of(p, segment, at.x);
  uint4* inputs = reinterpret_cast<uint4*>(dynamic_shared()) + warp * p.warp_packs;
  const Taps<kTaps> taps(p, at.weight + p.by_channels.remainder(segment.row) * p.pitch);
  stage(p, source, 0, segment.end, lane, inputs);
  const int64_t first = segment.row * p.out_length + segment.position;
  const uint4* first_packs = inputs + source.skip / kWidth + lane;
  const int skip = source.skip & (kWidth - 1);
  for (int pass = 0; pass < segment.end; pass += kPass) {
    const int output = pass + lane * kWidth;
    const uint4* packs = first_packs + pass / kWidth;
    float sum[kWidth] = {};
    add_staged<T, kTaps, kDense>(p, packs, skip, 0, taps, sum);
    if constexpr (kTaps == 0) {
      // A segment is one pass where its taps take several groups.
      for (int k = p.group_taps; k < p.taps; k += p.group_taps) {
        __syncwarp();
        stage(p, source, k, segment.end, lane, inputs);
        add_staged<T, kTaps, kDense>(p, packs, skip, k, taps, sum);
      }
    }
    if (output < segment.end) {
#pragma unroll
      for (int j = 0; j < kWidth; ++j) sum[j] += taps.bias();
      const PackRange range(max(segment.begin - output, 0), min(segment.end - output, kWidth));
      finish_pack(sum, first + output, range, at.epilogue, p.residual_aligned, at.y);
    }
  }
}

template <typename T, int kTaps, bool kDense>
void launch_packs(const DepthwisePacks& cut, const Packs& p, const Pointers<T>& at,
                  CudaStream stream) {
  LaunchConfig config{"depthwise_packs", (p.segments - 1) / kWarps + 1};
  config.block = kWarp * kWarps;
  config.shared_bytes = cut.shared_bytes();
  config.stream = stream;
  launch(depthwise_packs_kernel<T, kTaps, kDense>, config, p, at);
}

template <typename T>
void launch_dense(const DepthwisePacks& cut, const Packs& p, const Pointers<T>& at,
                  CudaStream stream) {
  switch (p.taps) {
    case 1:
      return launch_packs<T, 1, true>(cut, p, at, stream);
    case 2:
      return launch_packs<T, 2, true>(cut, p, at, stream);
    case 3:
      return launch_packs<T, 3, true>(cut, p, at, stream);
    case 4:
      return launch_packs<T, 4, true>(cut, p, at, stream);
    case 5:
      return launch_packs<T, 5, true>(cut, p, at, stream);
    case 6:
      return launch_packs<T, 6, true>(cut, p, at, stream);
    case 7:
      return launch_packs<T, 7, true>(cut, p, at, stream);
    case 8:
      return launch_packs<T, 8, true>(cut, p, at, stream);
    default:
      return launch_packs<T, 0, true>(cut, p, at, stream);
  }
}

template <typename T>
void launch_dilated(const DepthwisePacks& cut, const Packs& p, const Pointers<T>& at,
                    CudaStream stream) {
  switch (p.taps) {
    case 2:
      return launch_packs<T, 2, false>(cut, p, at, stream);
    case 3:
      return launch_packs<T, 3, false>(cut, p, at, stream);
    default:
      return launch_packs<T, 0, false>(cut, p, at, stream);
  }
}

}  // namespace

void depthwise_packs(const Conv1dProblem& c, const DepthwisePacks& cut,
                     const DepthwiseTensors& tensors, CudaStream stream) {
  with_float_type(c.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Pointers<T> at{static_cast<const T*>(tensors.input),
                         tensors.weight,
                         {nullptr, tensors.residual, c.activation, c.residual_activation},
                         static_cast<T*>(tensors.output)};
    const Packs p{
        .in_length = c.in_length,
        .out_length = c.out_length,
        .left = c.pad_left,
        .segments = c.batch * c.out_channels * cut.row_segments,
        .by_row_segments = FastDivide(cut.row_segments),
        .by_channels = FastDivide(c.out_channels),
        .by_multiplier = FastDivide(c.group_outputs()),
        .padding_mode = c.padding_mode,
        .row_segments = static_cast<int>(cut.row_segments),
        .segment = static_cast<int>(cut.segment),
        .dilation = static_cast<int>(c.dilation),
        .staged_dilation = static_cast<int>(cut.staged_dilation),
        .taps = static_cast<int>(c.kernel_size),
        .group_taps = static_cast<int>(cut.group_taps),
        .warp_packs = static_cast<int>(cut.warp_packs),
        .bias_place = static_cast<int>(cut.weights.bias_place()),
        .pitch = static_cast<int>(cut.weights.pitch()),
        .out_skew = static_cast<int>(reinterpret_cast<uintptr_t>(at.y) % 32 / sizeof(T)),
        .residual_aligned = skew_of(static_cast<const T*>(tensors.residual)) == skew_of(at.y)};
    if (c.dilation == 1) {
      launch_dense<T>(cut, p, at, stream);
    } else {
      launch_dilated<T>(cut, p, at, stream);
    }
  });
}

}  // namespace engine::cuda
