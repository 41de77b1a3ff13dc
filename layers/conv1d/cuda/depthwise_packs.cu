// Depthwise convolution by packs:
//   y[r, l] = f2(f(bias[m] + sum over k of w[m, k] * x[r / M, l S - left + k D]) + residual[r, l])
// for the rows r = b out_channels + m of y, with M = group_outputs. x and y are NCL.
//
// Threads: one pack of 16 bytes of y each (kPacks of them where taps are few), counted from the
//   first 16-byte boundary at or before y, so that every store is whole and aligned whatever the
//   length of a row; a warp's packs are neighbours. A pack inside a row whose inputs lie inside
//   theirs loads them by aligned 16-byte loads and shifts them into place in registers: with
//   dilation 1 the window of all taps at once, else each tap's. Neighbours' loads overlap and hit
//   L1. Packs at the ends of a row, or of two rows, read one element at a time.
// Shared memory: none; the taps of a channel are loads that are the same for most of a warp.
// Bytes: x and y once from memory; L1 serves 2 to 3 loads of 16 bytes a pack with dilation 1, else
//   2 a tap.
// Requires: one input channel a group. Stride above 1 always reads one element at a time.
// Limited by memory up to 8 taps.
#include "engine/cuda/fast_divide.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/depthwise.h"
#include "layers/conv1d/cuda/pack_epilogue.h"
#include "layers/conv1d/cuda/unaligned.h"

namespace engine::cuda {
namespace {

constexpr int kThreads = 256;

struct Packs {
  int64_t in_length;
  int64_t in_total;  // elements of x
  int64_t out_length;
  int64_t out_total;  // elements of y
  int64_t stride;
  int64_t dilation;
  int64_t left;
  int64_t taps;
  int64_t pitch;  // of a channel's taps
  int64_t count;  // packs
  FastDivide by_length;
  FastDivide by_channels;
  FastDivide by_multiplier;
  PaddingMode padding_mode;
  int in_skew;   // elements that x begins beyond a multiple of 16 bytes
  int out_skew;  // the same of y
  bool residual_aligned;
};

template <typename T>
struct Pointers {
  const T* x;
  const float* weight;
  Epilogue epilogue;
  T* y;
};

// Where a pack lies.
struct Place {
  int64_t first;     // element of y
  int64_t row;       // of that element
  int64_t position;  // of that element in its row
};

__device__ __forceinline__ Place place_of(const Packs& p, int64_t pack, int width) {
  Place place;
  place.first = pack * width - p.out_skew;
  place.row = p.by_length.quotient(max(place.first, int64_t{0}));
  place.position = place.first - place.row * p.out_length;
  return place;
}

// The taps of a channel, in registers where their number is known.
template <int kTaps>
struct Taps {
  float values[(kTaps + 3) / 4 * 4];

  __device__ __forceinline__ explicit Taps(const float* source) {
#pragma unroll
    for (int i = 0; i < kTaps; i += 4) {
      const float4 four = __ldg(reinterpret_cast<const float4*>(source + i));
      values[i] = four.x;
      values[i + 1] = four.y;
      values[i + 2] = four.z;
      values[i + 3] = four.w;
    }
  }
  __device__ __forceinline__ float operator[](int k) const { return values[k]; }
};
template <>
struct Taps<0> {
  const float* source;

  __device__ __forceinline__ explicit Taps(const float* taps) : source(taps) {}
  __device__ __forceinline__ float operator[](int k) const { return __ldg(source + k); }
};

// One pack inside a row, with all its inputs. kTaps = 0: as many as the problem says.
template <typename T, int kTaps, bool kDense>
struct InnerPack {
  static constexpr int kWidth = kPackWidth<T>;
  static constexpr int kRun = kDense ? kWidth + kTaps - 1 : kWidth;
  static constexpr int kRuns = kDense ? 1 : (kTaps == 0 ? 1 : kTaps);
  Run<T, kRun> runs[kRuns];

  static __device__ __forceinline__ bool is_inner(const Packs& p, const Place& place) {
    if (p.stride != 1 || place.first < 0) return false;
    const int64_t begin = place.position - p.left;
    const int64_t span = ((kTaps == 0 ? p.taps : kTaps) - 1) * p.dilation;
    if (begin < 0 || begin + span + kWidth > p.in_length) return false;
    if (place.position + kWidth > p.out_length) return false;
    const int64_t index = source_of(p, place);
    return Run<T, kRun>::readable(index, p.in_total, p.in_skew) &&
           Run<T, kRun>::readable(index + (kDense ? 0 : span), p.in_total, p.in_skew);
  }

  static __device__ __forceinline__ int64_t source_of(const Packs& p, const Place& place) {
    return p.by_multiplier.quotient(place.row) * p.in_length + place.position - p.left;
  }

  __device__ __forceinline__ void load(const Packs& p, const Place& place, const T* x) {
    const T* first = x + source_of(p, place);
    if constexpr (kDense || kTaps > 0) {
#pragma unroll
      for (int k = 0; k < kRuns; ++k) runs[k].load(first + k * p.dilation);
    }
  }

  __device__ __forceinline__ void add(const Packs& p, const Place& place, const T* x,
                                      const Taps<kTaps>& taps, float (&sum)[kWidth]) {
    if constexpr (kDense) {
      float values[kRun];
      runs[0].unpack(values);
#pragma unroll
      for (int k = 0; k < kTaps; ++k) {
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(taps[k], values[j + k], sum[j]);
      }
    } else if constexpr (kTaps > 0) {
#pragma unroll
      for (int k = 0; k < kTaps; ++k) add_run(runs[k], taps[k], sum);
    } else {
      const T* first = x + source_of(p, place);
#pragma unroll 4
      for (int k = 0; k < p.taps; ++k) {
        Run<T, kRun> run;
        run.load(first + k * p.dilation);
        add_run(run, taps[k], sum);
      }
    }
  }

  static __device__ __forceinline__ void add_run(Run<T, kRun>& run, float tap,
                                                 float (&sum)[kWidth]) {
    float values[kRun];
    run.unpack(values);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(tap, values[j], sum[j]);
  }
};

// A pack at the end of a row, or across ends.
template <typename T, int kTaps, bool kDense>
__device__ void outer_pack(const Packs& p, const Pointers<T>& at, Place place) {
  constexpr int kWidth = kPackWidth<T>;
  const int64_t end = min(place.first + kWidth, p.out_total);
  while (place.row * p.out_length < end) {
    const int64_t channel = p.by_channels.remainder(place.row);
    const Taps<kTaps> taps(at.weight + channel * p.pitch);
    const T* x_row = at.x + p.by_multiplier.quotient(place.row) * p.in_length;
    const int64_t begin = place.position * p.stride - p.left;
    float sum[kWidth];
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum[j] = at.epilogue.bias ? at.epilogue.bias[channel] : 0.0f;
    if constexpr (kDense) {
      float values[kWidth + kTaps - 1];
#pragma unroll
      for (int i = 0; i < kWidth + kTaps - 1; ++i) {
        values[i] = read_padded(x_row, begin + i, p.in_length, p.padding_mode);
      }
#pragma unroll
      for (int k = 0; k < kTaps; ++k) {
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[j] = fmaf(taps[k], values[j + k], sum[j]);
      }
    } else {
#pragma unroll 1
      for (int k = 0; k < p.taps; ++k) {
        const float tap = __ldg(at.weight + channel * p.pitch + k);
#pragma unroll
        for (int j = 0; j < kWidth; ++j) {
          const int64_t position = begin + j * p.stride + k * p.dilation;
          sum[j] = fmaf(tap, read_padded(x_row, position, p.in_length, p.padding_mode), sum[j]);
        }
      }
    }
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      const int64_t position = place.position + j;
      if (position < 0 || position >= p.out_length || place.first + j >= p.out_total) continue;
      at.y[place.first + j] = from_float<T>(finish<T>(sum[j], place.first + j, at.epilogue));
    }
    ++place.row;
    place.position -= p.out_length;
  }
}

template <typename T, int kTaps, bool kDense, int kPacks>
__global__ void __launch_bounds__(kThreads, 4) depthwise_packs_kernel(const __grid_constant__ Packs p, const __grid_constant__ Pointers<T> at) {
  constexpr int kWidth = kPackWidth<T>;
  using Inner = InnerPack<T, kTaps, kDense>;
  const int64_t step = int64_t{gridDim.x} * kThreads * kPacks;
  for (int64_t pack = int64_t{blockIdx.x} * kThreads * kPacks + threadIdx.x; pack < p.count;
       pack += step) {
    Place places[kPacks];
    bool inner = true;
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      places[i] = place_of(p, min(pack + i * kThreads, p.count - 1), kWidth);
      inner = inner && Inner::is_inner(p, places[i]);
    }
    if (inner) {
      Inner packs[kPacks];
#pragma unroll
      for (int i = 0; i < kPacks; ++i) packs[i].load(p, places[i], at.x);
#pragma unroll
      for (int i = 0; i < kPacks; ++i) {
        const int64_t channel = p.by_channels.remainder(places[i].row);
        const Taps<kTaps> taps(at.weight + channel * p.pitch);
        const float start = at.epilogue.bias ? __ldg(at.epilogue.bias + channel) : 0.0f;
        float sum[kWidth];
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[j] = start;
        packs[i].add(p, places[i], at.x, taps, sum);
        finish_pack(sum, places[i].first, at.epilogue, p.residual_aligned, at.y);
      }
    } else {
#pragma unroll 1
      for (int i = 0; i < kPacks; ++i) {
        if (pack + i * kThreads >= p.count) break;
        outer_pack<T, kTaps, kDense>(p, at, place_of(p, pack + i * kThreads, kWidth));
      }
    }
  }
}

template <typename T, int kTaps, bool kDense>
void launch_packs(const Packs& p, const Pointers<T>& at, CudaStream stream) {
  constexpr int kPacks = DW_PACKS;
  LaunchConfig config{"depthwise_packs", grid_for(p.count, kThreads * kPacks, kMaxGridX)};
  config.block = kThreads;
  config.stream = stream;
  launch(depthwise_packs_kernel<T, kTaps, kDense, kPacks>, config, p, at);
}

template <typename T>
void launch_dense(const Packs& p, const Pointers<T>& at, CudaStream stream) {
  switch (p.taps) {
    case 1:
      return launch_packs<T, 1, true>(p, at, stream);
    case 2:
      return launch_packs<T, 2, true>(p, at, stream);
    case 3:
      return launch_packs<T, 3, true>(p, at, stream);
    case 4:
      return launch_packs<T, 4, true>(p, at, stream);
    case 5:
      return launch_packs<T, 5, true>(p, at, stream);
    case 6:
      return launch_packs<T, 6, true>(p, at, stream);
    case 7:
      return launch_packs<T, 7, true>(p, at, stream);
    default:
      return launch_packs<T, 8, true>(p, at, stream);
  }
}

template <typename T>
void launch_dilated(const Packs& p, const Pointers<T>& at, CudaStream stream) {
  switch (p.taps) {
    case 2:
      return launch_packs<T, 2, false>(p, at, stream);
    case 3:
      return launch_packs<T, 3, false>(p, at, stream);
    default:
      return launch_packs<T, 0, false>(p, at, stream);
  }
}

}  // namespace

void depthwise_packs(const Conv1dProblem& c, const DepthwiseTensors& tensors, CudaStream stream) {
  with_float_type(c.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Pointers<T> at{static_cast<const T*>(tensors.input),
                         tensors.weight,
                         {tensors.bias, tensors.residual, c.activation, c.residual_activation},
                         static_cast<T*>(tensors.output)};
    const int64_t out_total = c.batch * c.out_channels * c.out_length;
    const int out_skew = skew_of(at.y);
    const Packs p{c.in_length,
                  c.batch * c.in_channels * c.in_length,
                  c.out_length,
                  out_total,
                  c.stride,
                  c.dilation,
                  c.pad_left,
                  c.kernel_size,
                  depthwise_packs_pitch(c),
                  (out_total + out_skew - 1) / kPackWidth<T> + 1,
                  FastDivide(c.out_length),
                  FastDivide(c.out_channels),
                  FastDivide(c.group_outputs()),
                  c.padding_mode,
                  skew_of(at.x),
                  out_skew,
                  skew_of(static_cast<const T*>(tensors.residual)) == out_skew};
    if (c.stride == 1 && (c.dilation == 1 || c.kernel_size == 1) && c.kernel_size <= 8) {
      launch_dense<T>(p, at, stream);
    } else {
      launch_dilated<T>(p, at, stream);
    }
  });
}

}  // namespace engine::cuda
