// Depthwise convolution of few taps, by packs:
//   y[r, l] = f2(f(sum over k of w[m, k] * x[r / M, l - left + k D] + bias[m]) + residual[r, l])
// for the rows r = b out_channels + m of y, with M = group_outputs. x and y are NCL.
//
// Threads: a warp computes a segment of one row, a pack of 16 bytes of y for each lane at a time.
//   Packs count from the 16-byte boundaries of y's memory, so that all stores but a row's first and
//   last are whole and aligned, whatever the length of a row. A pack's window of inputs is read by
//   aligned loads and shifted into place in registers, by as much for all lanes; neighbours' loads
//   overlap and hit L1. Dilated taps are read one window each. Windows that reach beyond the row
//   are read one element at a time.
// Shared memory: none; the taps are in registers where a window holds them all.
// Bytes: y once; x once, and (K - 1) D elements again for each segment, from L2.
// Requires: one input channel a group; stride 1.
// Limited by memory up to 8 taps.
#include "engine/cuda/fast_divide.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/depthwise.h"
#include "layers/conv1d/cuda/pack_epilogue.h"
#include "layers/conv1d/cuda/unaligned.h"

namespace engine::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = kDepthwisePackWarps;
constexpr int kMostWindowTaps = 8;  // that one window serves

struct Packs {
  int64_t in_length;
  int64_t out_length;
  int64_t left;
  int64_t in_rows;
  int64_t segments;  // of all rows
  FastDivide by_row_segments;
  FastDivide by_channels;
  FastDivide by_multiplier;
  PaddingMode padding_mode;
  int row_segments;
  int segment;  // outputs; a multiple of 32 bytes
  int span;     // from the first tap to the last, in inputs
  int dilation;
  int taps;
  int pitch;     // of a channel's taps and bias
  int out_skew;  // elements that y begins beyond a multiple of 32 bytes
  bool residual_aligned;
};

template <typename T>
struct Pointers {
  const T* x;
  const float* weight;
  Epilogue epilogue;
  T* y;
};

// What a warp computes: outputs [begin, end) from `row_output` on. Packs count from it too.
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
  const T* row;  // of x
  int64_t
      position;  // in the row, of the first input of the segment's first output; may be negative
  const uint4* packs;  // that hold it, or would
  int skip;            // elements of the first pack before it
  int low;             // outputs from here, counted as the segment's,
  int high;            // to here may be read by packs
};

__device__ __forceinline__ int clamp_to(int64_t value, int low, int high) {
  return static_cast<int>(max(min(value, int64_t{high}), int64_t{low}));
}

template <typename T>
__device__ __forceinline__ Source<T> source_of(const Packs& p, const Segment& segment, const T* x) {
  constexpr int kWidth = kPackWidth<T>;
  Source<T> source;
  const int64_t input_row = p.by_multiplier.quotient(segment.row);
  source.row = x + input_row * p.in_length;
  source.position = segment.position - p.left;
  const auto address = reinterpret_cast<uintptr_t>(source.row + source.position);
  source.skip = static_cast<int>(address & 15) / static_cast<int>(sizeof(T));
  source.packs = reinterpret_cast<const uint4*>(address & ~uintptr_t{15});
  // A window's first and last pack reach beyond it, at the tensor's two ends too far.
  const int64_t before = input_row == 0 ? kWidth : 0;
  const int64_t behind = input_row == p.in_rows - 1 ? kWidth : 0;
  source.low = clamp_to(before - source.position, 0, segment.end);
  source.high = clamp_to(p.in_length - p.span - behind - source.position, 0, segment.end);
  return source;
}

// Taps of a channel in registers, and its bias.
template <int kTaps>
struct Taps {
  float values[kTaps / 4 * 4 + 4];
  const float* source;

  __device__ __forceinline__ explicit Taps(const float* taps) : source(taps) {
#pragma unroll
    for (int i = 0; i <= kTaps; i += 4) {
      const float4 four = __ldg(reinterpret_cast<const float4*>(source + i));
      values[i] = four.x;
      values[i + 1] = four.y;
      values[i + 2] = four.z;
      values[i + 3] = four.w;
    }
  }
  __device__ __forceinline__ float tap(int k) const { return values[k]; }
  /// The same for a k that is not known when it is compiled.
  __device__ __forceinline__ float read(int k) const { return __ldg(source + k); }
  __device__ __forceinline__ float bias(const Packs&) const { return values[kTaps]; }
};
template <>
struct Taps<0> {
  const float* source;

  __device__ __forceinline__ explicit Taps(const float* taps) : source(taps) {}
  __device__ __forceinline__ float tap(int k) const { return __ldg(source + k); }
  __device__ __forceinline__ float read(int k) const { return tap(k); }
  __device__ __forceinline__ float bias(const Packs& p) const { return __ldg(source + p.taps); }
};

// The inputs of one pack of outputs. kTaps = 0: they are loaded as they are added.
template <typename T, int kTaps, bool kDense>
struct Window {
  static constexpr int kWidth = kPackWidth<T>;
  static constexpr int kCount = kDense ? kWidth + kTaps - 1 : kWidth;
  Run<T, kCount> runs[kDense || kTaps == 0 ? 1 : kTaps];

  __device__ __forceinline__ void load(const Packs& p, const Source<T>& source, int output) {
    if constexpr (kDense) {
      runs[0].load(source.packs + output / kWidth, source.skip);
    } else if constexpr (kTaps > 0) {
#pragma unroll
      for (int k = 0; k < kTaps; ++k) load_tap(p, source, output, k, runs[k]);
    }
  }

  __device__ __forceinline__ void add(const Packs& p, const Source<T>& source, int output,
                                      const Taps<kTaps>& taps, float (&sum)[kWidth]) {
    if constexpr (kDense) {
      float values[kCount];
      runs[0].unpack(source.skip, values);
#pragma unroll
      for (int k = 0; k < kTaps; ++k) {
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(taps.tap(k), values[j + k], sum[j]);
      }
    } else if constexpr (kTaps > 0) {
#pragma unroll
      for (int k = 0; k < kTaps; ++k) add_tap(p, source, k, taps.tap(k), runs[k], sum);
    } else {
#pragma unroll 4
      for (int k = 0; k < p.taps; ++k) {
        load_tap(p, source, output, k, runs[0]);
        add_tap(p, source, k, taps.tap(k), runs[0], sum);
      }
    }
  }

 private:
  static __device__ __forceinline__ void load_tap(const Packs& p, const Source<T>& source,
                                                  int output, int k, Run<T, kCount>& run) {
    const int first = source.skip + k * p.dilation;
    run.load(source.packs + (output + first) / kWidth, first & (kWidth - 1));
  }
  static __device__ __forceinline__ void add_tap(const Packs& p, const Source<T>& source, int k,
                                                 float tap, Run<T, kCount>& run,
                                                 float (&sum)[kWidth]) {
    float values[kCount];
    run.unpack((source.skip + k * p.dilation) & (kWidth - 1), values);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(tap, values[j], sum[j]);
  }
};

// The sums of a pack near the end of a row, input by input.
template <typename T, int kTaps, bool kDense>
__device__ __forceinline__ void add_guarded(const Packs& p, const Source<T>& source, int output,
                                            const Taps<kTaps>& taps, float (&sum)[kPackWidth<T>]) {
  constexpr int kWidth = kPackWidth<T>;
  constexpr int kCount = kDense ? kWidth + kTaps - 1 : kWidth;
  const int count = kDense ? 1 : p.taps;
#pragma unroll 1
  for (int k = 0; k < count; ++k) {
    const int64_t position = source.position + output + k * p.dilation;
    const int low = clamp_to(-position, 0, kCount);
    const int high = clamp_to(p.in_length - position, 0, kCount);
    float values[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      values[i] = i >= low && i < high ? to_float(source.row[position + i]) : 0.0f;
    }
    if (p.padding_mode != PaddingMode::kZeros) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        if (i < low || i >= high) {
          values[i] = read_beyond(source.row, position + i, p.in_length, p.padding_mode);
        }
      }
    }
    if constexpr (kDense) {
#pragma unroll
      for (int t = 0; t < kTaps; ++t) {
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(taps.tap(t), values[j + t], sum[j]);
      }
    } else {
      const float tap = taps.read(k);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(tap, values[j], sum[j]);
    }
  }
}

// What becomes of the sums of the pack of outputs from `output` on.
template <typename T>
__device__ __forceinline__ void store(const Packs& p, const Pointers<T>& at, const Segment& segment,
                                      int64_t first, int output, float bias,
                                      float (&sum)[kPackWidth<T>]) {
  constexpr int kWidth = kPackWidth<T>;
#pragma unroll
  for (int j = 0; j < kWidth; ++j) sum[j] += bias;
  if (output >= segment.begin && output + kWidth <= segment.end) {
    finish_pack(sum, first + output, at.epilogue, p.residual_aligned, at.y);
    return;
  }
#pragma unroll
  for (int j = 0; j < kWidth; ++j) {
    const int64_t index = first + output + j;
    if (output + j < segment.begin || output + j >= segment.end) continue;
    at.y[index] = from_float<T>(finish<T>(sum[j], index, at.epilogue));
  }
}

template <typename T, int kTaps, bool kDense>
__global__ void __launch_bounds__(kWarp* kWarps, kTaps == 0 ? 3 : 4)
    depthwise_packs_kernel(const __grid_constant__ Packs p,
                           const __grid_constant__ Pointers<T> at) {
  constexpr int kWidth = kPackWidth<T>;
  constexpr int kPass = kWarp * kWidth;
  constexpr int kAtOnce = 2;  // passes whose loads are under way together
  // The same for the whole warp, and said so.
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarp, 0);
  const int64_t index = int64_t{blockIdx.x} * kWarps + warp;
  if (index >= p.segments) return;
  const Segment segment = segment_of<T>(p, index);
  if (segment.end <= segment.begin) return;
  const Source<T> source = source_of(p, segment, at.x);
  const Taps<kTaps> taps(at.weight + p.by_channels.remainder(segment.row) * p.pitch);
  const float bias = taps.bias(p);
  const int64_t first = segment.row * p.out_length + segment.position;
  const int lane_output = static_cast<int>(threadIdx.x) % kWarp * kWidth;

  int pass = 0;
  while (pass < segment.end) {
    if (pass >= source.low && pass >= segment.begin && pass + kAtOnce * kPass <= source.high) {
      Window<T, kTaps, kDense> windows[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        windows[i].load(p, source, pass + i * kPass + lane_output);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int output = pass + i * kPass + lane_output;
        float sum[kWidth] = {};
        windows[i].add(p, source, output, taps, sum);
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[j] += bias;
        finish_pack(sum, first + output, at.epilogue, p.residual_aligned, at.y);
      }
      pass += kAtOnce * kPass;
      continue;
    }
    const int output = pass + lane_output;
    if (output < segment.end) {
      float sum[kWidth] = {};
      if (output >= source.low && output + kWidth <= source.high) {
        Window<T, kTaps, kDense> window;
        window.load(p, source, output);
        window.add(p, source, output, taps, sum);
      } else {
        add_guarded<T, kTaps, kDense>(p, source, output, taps, sum);
      }
      store(p, at, segment, first, output, bias, sum);
    }
    pass += kPass;
  }
}

template <typename T, int kTaps, bool kDense>
void launch_packs(const DepthwisePacks& cut, const Packs& p, const Pointers<T>& at,
                  CudaStream stream) {
  LaunchConfig config{"depthwise_packs", (p.segments - 1) / kWarps + 1};
  config.block = kWarp * kWarps;
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
    default:
      return launch_packs<T, 8, true>(cut, p, at, stream);
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
        .in_rows = c.batch * c.in_channels,
        .segments = c.batch * c.out_channels * cut.row_segments,
        .by_row_segments = FastDivide(cut.row_segments),
        .by_channels = FastDivide(c.out_channels),
        .by_multiplier = FastDivide(c.group_outputs()),
        .padding_mode = c.padding_mode,
        .row_segments = static_cast<int>(cut.row_segments),
        .segment = static_cast<int>(cut.segment),
        .span = static_cast<int>((c.kernel_size - 1) * c.dilation),
        .dilation = static_cast<int>(c.dilation),
        .taps = static_cast<int>(c.kernel_size),
        .pitch = static_cast<int>(cut.weights.pitch()),
        .out_skew = static_cast<int>(reinterpret_cast<uintptr_t>(at.y) % 32 / sizeof(T)),
        .residual_aligned = skew_of(static_cast<const T*>(tensors.residual)) == skew_of(at.y)};
    if (c.dilation == 1 && c.kernel_size <= kMostWindowTaps) {
      launch_dense<T>(cut, p, at, stream);
    } else {
      launch_dilated<T>(cut, p, at, stream);
    }
  });
}

}  // namespace engine::cuda
