// Convolution along the length by Fourier transforms: for output channel m
//   y[b, m, l] = f2(f(bias[m] + sum over c, k of w[m, c, k] x[b, g(m) C + c, l S - left + k])
//                  + residual[b, m, l])
// where, for a window z of N inputs, the cyclic sums over taps k of part p are
//   sum over k of w[k] z[(j + k) mod N] = inverse(transform(z) * spectrum[m, c, p])[j]
// and the first N - part_taps + 1 of them are outputs: no tap has wrapped around. Where all that
// wraps around is zero padding, one window gives a whole row. x and y are NCL.
//
// Mapping: a block takes one output channel and two pieces of signal (two rows, or two segments of
//   one), which travel as the real and the imaginary part of one complex signal: taps are real, so
//   the two never mix but by rounding, which is relative to the larger of the two (and a value
//   that is not finite reaches all that shares its block). Several terms (input channels, parts of
//   a kernel too long for N) are summed as spectra before the one way back; windows of padding
//   alone are left out.
// Transform: N = R * 16 * 16 points, R = 4, 8, 16, 24 or 32. Pass 1: a thread transforms columns of
//   R points straight from global memory. Passes 2 and 3: 16 threads, which only wait for their
//   warp, transform a row of 256 points in registers, 16 each, then multiply it and go back the
//   same way. Decimation in frequency there and in time back, so that no bin is ever moved to its
//   place; spectra are stored in the order in which threads hold the bins.
// Roots of unity: tables in f32 rounded from double, at most one product of two of them each.
// Shared memory: the N points, every 16 padded by one against bank conflicts (51 KiB for 6144),
//   and N more for the sum over terms. Two barriers of the block for each term.
// Bytes: x and y once (N / (N - taps + 1) times x, mostly from the L2 cache) and N spectrum bins of
//   8 bytes for each output channel and term, which samples and segments share through the L2.
// Requires: what plan_fft() says. Any alignment; items are counted in 64 bits.
// Limited by arithmetic and latency: on an H200, x [4, 768, 4096] with 4095 taps in f32 takes
//   0.060 ms, of which the bytes need 0.033 (55%); 69% of the cycles issue an instruction.
#include "engine/cuda/fast_divide.h"
#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/epilogue.h"
#include "layers/conv1d/cuda/fft_convolution.h"
#include "layers/conv1d/cuda/fft_registers.h"

namespace engine::cuda {
namespace {

constexpr int kInner = kFftInner;
constexpr int kLine = 16;               // points of a line, and threads of a row
constexpr int kPaddedLine = kLine + 1;  // in shared memory: no bank conflicts down a column
constexpr int kPaddedRow = kInner / kLine * kPaddedLine;

// The roots that all powers up to kPowers - 1 of one root are made of by one product each: powers
// 1, 2, 3 and 4, 8, 12 ...
template <int kPowers>
inline constexpr int kBaseRoots = 3 + (kPowers / 4 - 1);

template <int kPowers>
__device__ __forceinline__ void load_roots(const float2* table, int step,
                                           float2 (&roots)[kBaseRoots<kPowers>]) {
#pragma unroll
  for (int i = 0; i < kBaseRoots<kPowers>; ++i) roots[i] = __ldg(table + i * step);
}

// v[k] *= root^k, or its conjugate.
template <bool kConjugate, int kPoints>
__device__ __forceinline__ void twist(float2 (&v)[kPoints],
                                      const float2 (&roots)[kBaseRoots<kPoints>]) {
#pragma unroll
  for (int k = 1; k < kPoints; ++k) {
    if (k < 4) {
      v[k] = multiply<kConjugate>(v[k], roots[k - 1]);
    } else if (k % 4 == 0) {
      v[k] = multiply<kConjugate>(v[k], roots[2 + k / 4]);
    } else {
      v[k] = multiply<kConjugate>(v[k], multiply(roots[2 + k / 4], roots[k % 4 - 1]));
    }
  }
}

__device__ __forceinline__ int column_place(int column) { return column + column / kLine; }

// One of the two signals of a block: a segment of one row of x and of y.
struct Signal {
  int64_t sample = -1;  // of the batch; -1: there is none
  int64_t first = 0;    // output before the stride
  int outputs = 0;      // of the segment, before the stride
};

// Which elements of a window [0, points) lie in the row.
struct Window {
  int64_t start;  // input position of element 0
  int low;
  int high;
};

template <typename T>
struct Kernel {
  FftConvolution sizes;
  const T* x;
  const float2* spectra;
  const float2* roots;
  T* y;
  Epilogue epilogue;
  FastDivide by_pairs;
  FastDivide by_segments;
  FastDivide by_group_outputs;
  FastDivide by_stride;
};

__device__ __forceinline__ int clamp_to(int64_t value, int most) {
  return static_cast<int>(value < 0 ? 0 : (value > most ? most : value));
}

// The elements that hold something: real inputs, or padding where that is not zero.
__device__ __forceinline__ Window window_of(const FftConvolution& p, const Signal& signal,
                                            int64_t part, int points) {
  Window window;
  window.start = signal.first - p.pad_left + part * p.part_taps;
  const bool zeros = p.padding_mode == PaddingMode::kZeros;
  const int64_t begin = zeros ? 0 : -p.pad_left;
  const int64_t end = zeros ? p.in_length : p.in_length + p.pad_right;
  window.low = clamp_to(begin - window.start, points);
  window.high = signal.sample < 0 ? window.low : clamp_to(end - window.start, points);
  if (window.high < window.low) window.high = window.low;
  return window;
}

__device__ __forceinline__ bool contains(const Window& w, int n) {
  return static_cast<unsigned>(n - w.low) < static_cast<unsigned>(w.high - w.low);
}

template <typename T>
__device__ __forceinline__ float padded_value(const T* row, const Window& w, int n,
                                              const FftConvolution& p) {
  if (!contains(w, n)) return 0.0f;
  return to_float(row[padded_source(w.start + n, p.in_length, p.padding_mode)]);
}

template <int kRows, Activation::Kind kKind>
__device__ __forceinline__ void apply_to_values(float2* values, const Activation& activation) {
#pragma unroll 2
  for (int i = 0; i < kRows; ++i) {
    const float2 value = values[i * kPaddedRow];
    values[i * kPaddedRow] = {ActivationMath<kKind>::apply(value.x, activation),
                              ActivationMath<kKind>::apply(value.y, activation)};
  }
}

// Out of line, so that its loops are not part of every kernel's inner code.
template <int kRows>
__device__ __noinline__ void activate_values(float2* values, const Activation& activation) {
  using Kind = Activation::Kind;
  switch (activation.kind) {
    case Kind::kIdentity:
      return;
    case Kind::kReLU:
      return apply_to_values<kRows, Kind::kReLU>(values, activation);
    case Kind::kLeakyReLU:
      return apply_to_values<kRows, Kind::kLeakyReLU>(values, activation);
    case Kind::kELU:
      return apply_to_values<kRows, Kind::kELU>(values, activation);
    case Kind::kGELU:
      return apply_to_values<kRows, Kind::kGELU>(values, activation);
    case Kind::kGELUTanh:
      return apply_to_values<kRows, Kind::kGELUTanh>(values, activation);
    case Kind::kSiLU:
      return apply_to_values<kRows, Kind::kSiLU>(values, activation);
    case Kind::kSigmoid:
      return apply_to_values<kRows, Kind::kSigmoid>(values, activation);
    case Kind::kTanh:
      return apply_to_values<kRows, Kind::kTanh>(values, activation);
    case Kind::kSoftplus:
      return apply_to_values<kRows, Kind::kSoftplus>(values, activation);
  }
}

// A block's view of one problem: kRows rows of kInner points in shared memory.
template <typename T, int kRows, int kThreads>
class Block {
 public:
  static constexpr int kPoints = kRows * kInner;
  static constexpr int kRounds = kRows * kLine / kThreads;  // of rows
  static_assert(kRounds * kThreads == kRows * kLine && kRounds > 0);
  // Columns that a thread loads before it transforms the first: short ones wait for memory
  // together.
  static constexpr int kTogether = kRows <= 8 ? kInner / kThreads : 1;

  __device__ Block(const Kernel<T>& kernel, float2* memory, int64_t item)
      : k_(kernel), memory_(memory) {
    const FftConvolution& p = k_.sizes;
    channel_ = k_.by_pairs.quotient(item);
    const int64_t pair = item - channel_ * k_.by_pairs.divisor();
    input_channel_ = k_.by_group_outputs.quotient(channel_) * p.group_inputs;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int64_t index = 2 * pair + i;
      if (index >= p.batch * p.segments) break;
      signals_[i].sample = k_.by_segments.quotient(index);
      signals_[i].first = (index - signals_[i].sample * p.segments) * p.segment_outputs;
      const int64_t left = (p.out_length - 1) * p.stride + 1 - signals_[i].first;
      signals_[i].outputs = static_cast<int>(left < p.segment_outputs ? left : p.segment_outputs);
    }
  }

  // Whether a term has an input that is not zero.
  __device__ bool has_inputs(int64_t part) const {
    const Window a = window_of(k_.sizes, signals_[0], part, kPoints);
    const Window b = window_of(k_.sizes, signals_[1], part, kPoints);
    return a.low < a.high || b.low < b.high;
  }

  __device__ const float4* spectrum(int64_t term) const {
    return reinterpret_cast<const float4*>(k_.spectra +
                                           (channel_ * k_.sizes.terms() + term) * kPoints);
  }

  // Pass 1: columns of kRows points from global memory, into shared memory.
  __device__ void load_columns(int64_t input, int64_t part) {
    const FftConvolution& p = k_.sizes;
    const Window a = window_of(p, signals_[0], part, kPoints);
    const Window b = window_of(p, signals_[1], part, kPoints);
    const int64_t channel = input_channel_ + input;
    const T* row_a = k_.x + (signals_[0].sample * p.in_channels + channel) * p.in_length;
    const T* row_b = k_.x + (signals_[1].sample * p.in_channels + channel) * p.in_length;
#pragma unroll 1
    for (int first = threadIdx.x; first < kInner; first += kTogether * kThreads) {
      float2 v[kTogether][kRows];
#pragma unroll
      for (int c = 0; c < kTogether; ++c) {
        const int column = first + c * kThreads;
        if (p.padding_mode == PaddingMode::kZeros) {
          const T* x_a = row_a + (a.start + column);
          const T* x_b = row_b + (b.start + column);
#pragma unroll
          for (int i = 0; i < kRows; ++i) {
            v[c][i].x = contains(a, i * kInner + column) ? to_float(x_a[i * kInner]) : 0.0f;
            v[c][i].y = contains(b, i * kInner + column) ? to_float(x_b[i * kInner]) : 0.0f;
          }
        } else {
          // By way of the column's own shared memory, so that the loop need not be unrolled.
          float2* place = memory_ + column_place(column);
#pragma unroll 1
          for (int i = 0; i < kRows; ++i) {
            const int n = i * kInner + column;
            place[i * kPaddedRow] = {padded_value(row_a, a, n, p), padded_value(row_b, b, n, p)};
          }
          read_column(place, v[c]);
        }
      }
#pragma unroll
      for (int c = 0; c < kTogether; ++c) {
        const int column = first + c * kThreads;
        float2 roots[kBaseRoots<kRows>];
        load_roots<kRows>(k_.roots + column, kInner, roots);
        dft<false>(v[c]);
        twist<false>(v[c], roots);
        write_column(memory_ + column_place(column), v[c]);
      }
    }
  }

  // The last pass: the inverse of pass 1, and the results.
  __device__ void store_columns() {
    const float bias = k_.epilogue.bias ? k_.epilogue.bias[channel_] : 0.0f;
#pragma unroll 1
    for (int column = threadIdx.x; column < kInner; column += kThreads) {
      float2* place = memory_ + column_place(column);
      float2 roots[kBaseRoots<kRows>];
      load_roots<kRows>(k_.roots + column, kInner, roots);
      float2 v[kRows];
      read_column(place, v);
      twist<true>(v, roots);
      dft<true>(v);
#pragma unroll
      for (int i = 0; i < kRows; ++i) v[i] = {v[i].x + bias, v[i].y + bias};
      if (k_.sizes.stride > 1) {
        write_column(place, v);
        store_strided(place, column);
        continue;
      }
      activate_column(place, v, k_.epilogue.activation);
      if (k_.epilogue.residual != nullptr) {
        add_residual(signals_[0], column, [&](int i) -> float& { return v[i].x; });
        add_residual(signals_[1], column, [&](int i) -> float& { return v[i].y; });
        activate_column(place, v, k_.epilogue.residual_activation);
      }
      store(signals_[0], column, [&](int i) { return v[i].x; });
      store(signals_[1], column, [&](int i) { return v[i].y; });
    }
  }

  // Passes 2 and 3 over one row, forward: leaves bin k3 of line `lane` in v[k3].
  __device__ __forceinline__ void forward_row(int row, int lane, float2 (&v)[kLine],
                                              const float2 (&roots)[kBaseRoots<kLine>]) {
    float2* down = memory_ + row * kPaddedRow + lane;
    const float2* across = memory_ + row * kPaddedRow + lane * kPaddedLine;
#pragma unroll
    for (int i = 0; i < kLine; ++i) v[i] = down[i * kPaddedLine];
    dft<false>(v);
    twist<false>(v, roots);
#pragma unroll
    for (int i = 0; i < kLine; ++i) down[i * kPaddedLine] = v[i];
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kLine; ++i) v[i] = across[i];
    dft<false>(v);
  }

  __device__ __forceinline__ void inverse_row(int row, int lane, float2 (&v)[kLine],
                                              const float2 (&roots)[kBaseRoots<kLine>]) {
    float2* down = memory_ + row * kPaddedRow + lane;
    float2* across = memory_ + row * kPaddedRow + lane * kPaddedLine;
    dft<true>(v);
#pragma unroll
    for (int i = 0; i < kLine; ++i) across[i] = v[i];
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kLine; ++i) v[i] = down[i * kPaddedLine];
    twist<true>(v, roots);
    dft<true>(v);
#pragma unroll
    for (int i = 0; i < kLine; ++i) down[i * kPaddedLine] = v[i];
  }

  __device__ __forceinline__ void load_line_roots(int lane, float2 (&roots)[kBaseRoots<kLine>]) {
    load_roots<kLine>(k_.roots + kBaseRoots<kRows> * kInner + lane, kLine, roots);
  }

 private:
  static __device__ __forceinline__ void read_column(const float2* place, float2 (&v)[kRows]) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) v[i] = place[i * kPaddedRow];
  }

  static __device__ __forceinline__ void write_column(float2* place, const float2 (&v)[kRows]) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) place[i * kPaddedRow] = v[i];
  }

  static __device__ __forceinline__ void activate_column(float2* place, float2 (&v)[kRows],
                                                         const Activation& activation) {
    if (activation.kind == Activation::Kind::kIdentity) return;
    write_column(place, v);
    activate_values<kRows>(place, activation);
    read_column(place, v);
  }

  // Where the first value of a column lies in a tensor shaped as y, for a stride of 1.
  __device__ __forceinline__ int64_t column_start(const Signal& signal, int column) const {
    return (signal.sample * k_.sizes.out_channels + channel_) * k_.sizes.out_length + signal.first +
           column;
  }

  template <typename Value>
  __device__ __forceinline__ void add_residual(const Signal& signal, int column, Value value) {
    const T* from = static_cast<const T*>(k_.epilogue.residual) + column_start(signal, column);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (i * kInner + column < signal.outputs) value(i) += to_float(from[i * kInner]);
    }
  }

  template <typename Value>
  __device__ __forceinline__ void store(const Signal& signal, int column, Value value) {
    T* y = k_.y + column_start(signal, column);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (i * kInner + column < signal.outputs) y[i * kInner] = from_float<T>(value(i));
    }
  }

  __device__ void store_strided(const float2* place, int column) {
#pragma unroll 1
    for (int i = 0; i < kRows; ++i) {
      store_strided(signals_[0], i * kInner + column, place[i * kPaddedRow].x);
      store_strided(signals_[1], i * kInner + column, place[i * kPaddedRow].y);
    }
  }

  __device__ void store_strided(const Signal& signal, int n, float value) {
    if (n >= signal.outputs) return;
    const int64_t position = signal.first + n;
    const int64_t stored = k_.by_stride.quotient(position);
    if (stored * k_.sizes.stride != position) return;
    const int64_t index =
        (signal.sample * k_.sizes.out_channels + channel_) * k_.sizes.out_length + stored;
    k_.y[index] = from_float<T>(finish<T>(value, index, k_.epilogue));
  }

  const Kernel<T>& k_;
  float2* memory_;
  int64_t channel_;        // of y
  int64_t input_channel_;  // the first of its group
  Signal signals_[2];
};

// The bins of a filter that a thread's line is multiplied by.
template <int kRows>
__device__ __forceinline__ void load_factors(const float4* spectrum, float4 (&factor)[kLine / 2]) {
#pragma unroll
  for (int i = 0; i < kLine / 2; ++i) factor[i] = __ldg(spectrum + i * kRows * kLine);
}

// One term: the transform stays in shared memory between the passes.
template <typename T, int kRows, int kThreads, int kBlocks>
__global__ void __launch_bounds__(kThreads, kBlocks)
    fft_convolution_kernel(const __grid_constant__ Kernel<T> kernel, int64_t items) {
  extern __shared__ float2 memory[];
  using View = Block<T, kRows, kThreads>;
  const int lane = threadIdx.x % kLine;
  for (int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    View block(kernel, memory, item);
    block.load_columns(0, 0);
    const float4* spectrum = block.spectrum(0);
    __syncthreads();
    float2 roots[kBaseRoots<kLine>];
    block.load_line_roots(lane, roots);
#pragma unroll 1
    for (int round = 0; round < View::kRounds; ++round) {
      const int line = round * kThreads + threadIdx.x;
      float4 factor[kLine / 2];
      load_factors<kRows>(spectrum + line, factor);
      float2 v[kLine];
      block.forward_row(line / kLine, lane, v, roots);
#pragma unroll
      for (int i = 0; i < kLine / 2; ++i) {
        v[2 * i] = multiply(v[2 * i], {factor[i].x, factor[i].y});
        v[2 * i + 1] = multiply(v[2 * i + 1], {factor[i].z, factor[i].w});
      }
      block.inverse_row(line / kLine, lane, v, roots);
    }
    __syncthreads();
    block.store_columns();
  }
}

// The sum over many terms of the bins of a thread's line, in shared memory behind the transform: in
// registers it would leave no room for a transform.
template <int kRows>
class LineSum {
 public:
  __device__ LineSum(float2* memory)
      : pairs_(reinterpret_cast<float4*>(memory + kRows * kPaddedRow) + threadIdx.x) {
#pragma unroll
    for (int i = 0; i < kLine / 2; ++i) pairs_[i * kRows * kLine] = {};
  }

  // Adds to bins 2 i and 2 i + 1.
  __device__ __forceinline__ void add(int i, float2 a, float2 b) {
    float4 sum = pairs_[i * kRows * kLine];
    sum = {sum.x + a.x, sum.y + a.y, sum.z + b.x, sum.w + b.y};
    pairs_[i * kRows * kLine] = sum;
  }

  __device__ __forceinline__ void read(float2 (&v)[kLine]) const {
#pragma unroll
    for (int i = 0; i < kLine / 2; ++i) {
      const float4 sum = pairs_[i * kRows * kLine];
      v[2 * i] = {sum.x, sum.y};
      v[2 * i + 1] = {sum.z, sum.w};
    }
  }

 private:
  float4* pairs_;
};

// Many terms: their spectra are summed before the way back.
template <typename T, int kRows, int kBlocks>
__global__ void __launch_bounds__(kRows* kLine, kBlocks)
    fft_convolution_sum_kernel(const __grid_constant__ Kernel<T> kernel, int64_t items) {
  extern __shared__ float2 memory[];
  const int row = threadIdx.x / kLine, lane = threadIdx.x % kLine;
  const int parts = static_cast<int>(kernel.sizes.parts);
  const int inputs = static_cast<int>(kernel.sizes.group_inputs);
  for (int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    Block<T, kRows, kRows * kLine> block(kernel, memory, item);
    LineSum<kRows> sum(memory);
    float2 roots[kBaseRoots<kLine>];
    float2 v[kLine];
#pragma unroll 1
    for (int part = 0; part < parts; ++part) {
      if (!block.has_inputs(part)) continue;
#pragma unroll 1
      for (int input = 0; input < inputs; ++input) {
        block.load_columns(input, part);
        float4 factor[kLine / 2];
        load_factors<kRows>(block.spectrum(input * parts + part) + threadIdx.x, factor);
        __syncthreads();
        block.load_line_roots(lane, roots);
        block.forward_row(row, lane, v, roots);
#pragma unroll
        for (int i = 0; i < kLine / 2; ++i) {
          sum.add(i, multiply(v[2 * i], {factor[i].x, factor[i].y}),
                  multiply(v[2 * i + 1], {factor[i].z, factor[i].w}));
        }
        __syncthreads();
      }
    }
    sum.read(v);
    block.load_line_roots(lane, roots);
    block.inverse_row(row, lane, v, roots);
    __syncthreads();
    block.store_columns();
    __syncthreads();
  }
}

template <typename T>
void launch_fft(void (*function)(Kernel<T>, int64_t), const Kernel<T>& kernel, int threads,
                CudaStream stream) {
  const int64_t items = kernel.sizes.out_channels * kernel.sizes.pairs();
  LaunchConfig config{"fft_convolution", grid_for(items, 1, kMaxGridX)};
  config.block = threads;
  config.shared_bytes = fft_shared_bytes(kernel.sizes);
  config.stream = stream;
  launch(function, config, kernel, items);
}

template <typename T>
void launch_points(const Kernel<T>& kernel, CudaStream stream) {
  const int64_t rows = kernel.sizes.points / kInner;
  if (kernel.sizes.terms() > 1) {
    if (rows == 16) return launch_fft(fft_convolution_sum_kernel<T, 16, 3>, kernel, 256, stream);
    return launch_fft(fft_convolution_sum_kernel<T, 32, 1>, kernel, 512, stream);
  }
  switch (rows) {
    case 4:
      return launch_fft(fft_convolution_kernel<T, 4, 64, 10>, kernel, 64, stream);
    case 8:
      return launch_fft(fft_convolution_kernel<T, 8, 128, 5>, kernel, 128, stream);
    case 16:
      return launch_fft(fft_convolution_kernel<T, 16, 128, 5>, kernel, 128, stream);
    case 24:
      return launch_fft(fft_convolution_kernel<T, 24, 128, 4>, kernel, 128, stream);
    default:
      return launch_fft(fft_convolution_kernel<T, 32, 128, 3>, kernel, 128, stream);
  }
}

}  // namespace

int64_t shared_bytes_limit(Device device) {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device.index),
        "reading the shared memory of a block");
  return bytes;
}

void fft_convolution(const FftConvolution& convolution, DType dtype, const FftOperands& operands,
                     const Activation& activation, const Activation& residual_activation,
                     CudaStream stream) {
  with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch_points(
        Kernel<T>{convolution, static_cast<const T*>(operands.input),
                  reinterpret_cast<const float2*>(operands.spectra),
                  reinterpret_cast<const float2*>(operands.roots), static_cast<T*>(operands.output),
                  Epilogue{operands.bias, operands.residual, activation, residual_activation},
                  FastDivide(convolution.pairs()), FastDivide(convolution.segments),
                  FastDivide(convolution.group_outputs), FastDivide(convolution.stride)},
        stream);
  });
}

}  // namespace engine::cuda
