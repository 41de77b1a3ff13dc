// im2col: target[b, c, k, j] = x[b, c, (first + j) S - left + k D], with the padding mode's values
// beyond the ends. x is NCL.
//
// Threads: a block takes 256 kPerThread neighbouring columns j of one row (b, c, k) at a time, grid
//   stride; a thread's columns are 256 apart, so that warps write 32 neighbouring elements and read
//   32 inputs S apart. Shared memory: none; the kernel_size rows of a channel share its inputs
//   through L1 and L2.
// Bytes: each column element written once; limited by that.
// Requires: nothing; rows and columns are counted in 64 bits within grid.x.
#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/im2col.h"

namespace engine::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;

template <typename T>
__global__ void __launch_bounds__(kThreads)
    im2col_kernel(Conv1dProblem p, Conv1dPiece piece, int64_t target_stride, int64_t tiles,
                  const T* input, T* target) {
  const int64_t items = piece.samples * p.in_channels * p.kernel_size * tiles;
  for (int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    const int64_t row = item / tiles;
    const int64_t tap = row % p.kernel_size;
    const int64_t channel = piece.first_sample * p.in_channels + row / p.kernel_size;
    const T* x = input + channel * p.in_length;
    const int64_t start = piece.first_column * p.stride - p.pad_left + tap * p.dilation;
    const int64_t first = item % tiles * kThreads * kPerThread + threadIdx.x;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int64_t j = first + i * kThreads;
      if (j >= piece.columns) break;
      const int64_t source = padded_source(start + j * p.stride, p.in_length, p.padding_mode);
      target[row * target_stride + j] = source < 0 ? from_float<T>(0.0f) : x[source];
    }
  }
}

}  // namespace

void im2col(const Conv1dProblem& problem, const Conv1dPiece& piece, int64_t target_stride,
            const void* input, void* target, CudaStream stream) {
  const int64_t tiles = (piece.columns - 1) / (kThreads * kPerThread) + 1;
  const int64_t rows = piece.samples * problem.in_channels * problem.kernel_size;
  LaunchConfig config{"im2col", grid_for(rows * tiles, 1)};
  config.block = kThreads;
  config.stream = stream;
  with_float_type(problem.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch(im2col_kernel<T>, config, problem, piece, target_stride, tiles,
           static_cast<const T*>(input), static_cast<T*>(target));
  });
}

}  // namespace engine::cuda
