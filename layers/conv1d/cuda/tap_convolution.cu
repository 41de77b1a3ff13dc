// Direct convolution: y[b, g M + m, q R + r] =
//     f2(f(bias[g M + m] + sum over c, i of w[g, m, c, first + i step] *
//                                           x[b, g C + c, q S + offset + i shift]) + residual)
// for the R phases of Conv1d (one) and ConvTranspose1d (one for each remainder of the output
// position by the stride), as layers/conv1d/tap_problem.h defines them. x and y are NCL.
//
// Threads: a block works on items, with a grid stride: one sample, one phase, kChannels output
//   channels and 128 kPositions outputs q. A thread computes kChannels x kPositions of them, its
//   positions 128 apart, so that a warp reads 32 neighbouring inputs (for stride 1) and writes 32
//   outputs R apart. Phases and channels of the same inputs are neighbouring items, so that inputs
//   come from memory once and the L2 joins the phases' writes to full sectors.
// Shared memory: none; weights are packed so that a thread fetches its channels' by 16-byte loads
//   that are the same for the whole warp.
// Bytes: each input is read from L1 or L2 group_outputs / kChannels * taps / S times.
// Requires: nothing; items are counted in 64 bits, and every size has its place in grid.x.
// Limited by the load units: kPositions loads of input and kChannels / 4 of weights for
//   kChannels kPositions multiply-adds.
#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/epilogue.h"
#include "layers/conv1d/cuda/tap_convolution.h"

namespace engine::cuda {
namespace {

constexpr int kThreads = static_cast<int>(kTapThreads);

// How a TapProblem is cut into items.
struct Cut {
  int64_t phases;          // that have outputs
  int64_t channel_blocks;  // of a group
  int64_t tiles;           // of a phase's outputs
  int64_t items;
};

// What one item is.
struct Item {
  int64_t batch;
  int64_t group;
  int64_t block;  // of output channels in the group
  int64_t tile;
  int64_t phase;
};

__device__ Item decode(const TapProblem& p, const Cut& cut, int64_t index) {
  Item item;
  item.phase = index % cut.phases;
  index /= cut.phases;
  item.block = index % cut.channel_blocks;
  index /= cut.channel_blocks;
  item.group = index % p.groups;
  index /= p.groups;
  item.tile = index % cut.tiles;
  item.batch = index / cut.tiles;
  return item;
}

template <int kChannels>
__device__ void load_weights(const float* source, float (&weights)[kChannels]) {
  if constexpr (kChannels % 4 == 0) {
#pragma unroll
    for (int i = 0; i < kChannels; i += 4) {
      const float4 four = __ldg(reinterpret_cast<const float4*>(source + i));
      weights[i] = four.x;
      weights[i + 1] = four.y;
      weights[i + 2] = four.z;
      weights[i + 3] = four.w;
    }
  } else {
#pragma unroll
    for (int i = 0; i < kChannels; ++i) weights[i] = __ldg(source + i);
  }
}

// Adds all products of a thread's outputs. `x` is the group's first channel, `weights` the block's,
// position[j] the input that output j reads through the phase's first tap. kInside: no input that
// the block needs lies beyond the ends.
template <bool kInside, typename T, int kChannels, int kPositions>
__device__ void add_products(const TapProblem& p, const PhaseTaps& taps, const T* x,
                             const float* weights, const int64_t (&position)[kPositions],
                             float (&sum)[kPositions][kChannels]) {
  for (int64_t c = 0; c < p.group_inputs; ++c) {
    const float* tap = weights + (c * p.taps.kernel_size() + taps.first) * kChannels;
    int64_t shift = 0;
    for (int64_t i = 0; i < taps.count; ++i) {
      float w[kChannels];
      load_weights(tap, w);
#pragma unroll
      for (int j = 0; j < kPositions; ++j) {
        int64_t source = position[j] + shift;
        if constexpr (!kInside) source = padded_source(source, p.in_length, p.padding_mode);
        const float value = kInside || source >= 0 ? to_float(x[source]) : 0.0f;
#pragma unroll
        for (int m = 0; m < kChannels; ++m) sum[j][m] = fmaf(w[m], value, sum[j][m]);
      }
      tap += taps.step * kChannels;
      shift += taps.shift;
    }
    x += p.in_length;
  }
}

// Whether outputs [first, last] of a phase read real inputs only.
__device__ bool reads_inside(const TapProblem& p, const PhaseTaps& taps, int64_t first,
                             int64_t last) {
  const int64_t span = (taps.count - 1) * taps.shift;
  const int64_t lowest = first * p.taps.in_stride() + taps.offset + (span < 0 ? span : 0);
  const int64_t highest = last * p.taps.in_stride() + taps.offset + (span > 0 ? span : 0);
  return lowest >= 0 && highest < p.in_length;
}

template <typename T, int kChannels, int kPositions>
__global__ void __launch_bounds__(kThreads)
    tap_convolution_kernel(TapProblem p, Cut cut, const T* x, const float* weights,
                           const __grid_constant__ Epilogue epilogue, T* y) {
  for (int64_t index = blockIdx.x; index < cut.items; index += gridDim.x) {
    const Item item = decode(p, cut, index);
    const PhaseTaps taps = p.taps.phase(item.phase);
    const int64_t outputs = p.taps.outputs(item.phase, p.out_length);
    const int64_t first = item.tile * kThreads * kPositions;
    if (first >= outputs) continue;
    const int64_t beyond = first + kThreads * kPositions;
    const int64_t last = (beyond < outputs ? beyond : outputs) - 1;

    int64_t position[kPositions];
    float sum[kPositions][kChannels] = {};
#pragma unroll
    for (int j = 0; j < kPositions; ++j) {
      const int64_t q = first + j * kThreads + threadIdx.x;
      // Outputs beyond the last repeat it and are not stored.
      position[j] = (q < last ? q : last) * p.taps.in_stride() + taps.offset;
    }
    const T* x_group = x + (item.batch * p.groups + item.group) * p.group_inputs * p.in_length;
    const float* block_weights = weights + (item.group * cut.channel_blocks + item.block) *
                                               p.group_inputs * p.taps.kernel_size() * kChannels;
    if (reads_inside(p, taps, first, last)) {
      add_products<true>(p, taps, x_group, block_weights, position, sum);
    } else {
      add_products<false>(p, taps, x_group, block_weights, position, sum);
    }

#pragma unroll
    for (int m = 0; m < kChannels; ++m) {
      const int64_t in_group = item.block * kChannels + m;
      if (in_group >= p.group_outputs) break;
      const int64_t channel = item.group * p.group_outputs + in_group;
      const float start = epilogue.bias ? epilogue.bias[channel] : 0.0f;
      const int64_t row = (item.batch * p.groups * p.group_outputs + channel) * p.out_length;
#pragma unroll
      for (int j = 0; j < kPositions; ++j) {
        const int64_t q = first + j * kThreads + threadIdx.x;
        if (q > last) break;
        const int64_t index = row + q * p.taps.phases() + item.phase;
        y[index] = from_float<T>(finish<T>(sum[j][m] + start, index, epilogue));
      }
    }
  }
}

template <typename T, int kChannels, int kPositions>
void launch_tap_convolution(const TapProblem& p, const void* input, const float* weights,
                            const Epilogue& epilogue, void* output, CudaStream stream) {
  Cut cut;
  cut.phases = p.taps.phases() < p.out_length ? p.taps.phases() : p.out_length;
  cut.channel_blocks = (p.group_outputs + kChannels - 1) / kChannels;
  const int64_t outputs = p.taps.outputs(0, p.out_length);
  cut.tiles = (outputs - 1) / (kThreads * kPositions) + 1;
  cut.items = p.batch * p.groups * cut.channel_blocks * cut.tiles * cut.phases;
  LaunchConfig config{"tap_convolution", grid_for(cut.items, 1)};
  config.block = kThreads;
  config.stream = stream;
  launch(tap_convolution_kernel<T, kChannels, kPositions>, config, p, cut,
         static_cast<const T*>(input), weights, epilogue, static_cast<T*>(output));
}

template <typename T, int kChannels>
void launch_positions(const TapProblem& p, const void* input, const float* weights,
                      const Epilogue& epilogue, void* output, CudaStream stream) {
  if (tap_convolution_positions(p) == 4) {
    launch_tap_convolution<T, kChannels, 4>(p, input, weights, epilogue, output, stream);
  } else {
    launch_tap_convolution<T, kChannels, 1>(p, input, weights, epilogue, output, stream);
  }
}

}  // namespace

void tap_convolution(const TapProblem& problem, DType dtype, const void* input,
                     const float* weights, const float* bias, const void* residual, void* output,
                     CudaStream stream) {
  const Epilogue epilogue{bias, residual, problem.activation, problem.residual_activation};
  with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    switch (tap_convolution_channels(problem)) {
      case 8:
        return launch_positions<T, 8>(problem, input, weights, epilogue, output, stream);
      case 4:
        return launch_positions<T, 4>(problem, input, weights, epilogue, output, stream);
      default:
        return launch_positions<T, 1>(problem, input, weights, epilogue, output, stream);
    }
  });
}

}  // namespace engine::cuda
