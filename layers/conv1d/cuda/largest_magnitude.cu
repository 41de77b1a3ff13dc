// The largest finite magnitude of each row of x, [rows, length] in f32:
//   largest[r] = max(largest[r], |x[r, i]|) over the finite x[r, i], as bits
//
// Threads: a block takes kBlockValues values of a row, by vectors of 16 bytes but for the ends.
// Precision: exact; bits of magnitudes are compared as integers.
// Bytes: x read once; limited by that.
// Requires: nothing; blocks are counted in 64 bits within grid.x.
#include "engine/cuda/launch.h"
#include "engine/round_up.h"
#include "layers/conv1d/cuda/half_parts.h"
#include "layers/conv1d/cuda/largest_magnitude.h"

namespace engine::cuda {
namespace {

constexpr int kBlockThreads = 256;
constexpr int64_t kBlockValues = 16384;

__global__ void __launch_bounds__(kBlockThreads)
    raise_largest_magnitudes_kernel(const float* x, int64_t length, int64_t blocks_of_row,
                                    uint32_t* largest) {
  const int64_t row = blockIdx.x / blocks_of_row;
  const int64_t begin = (blockIdx.x - row * blocks_of_row) * kBlockValues;
  const float* first = x + row * length + begin;
  const auto count = static_cast<int>(min(kBlockValues, length - begin));
  const auto behind = static_cast<int>(reinterpret_cast<uintptr_t>(first) / sizeof(float) % 4);
  const int head = min(-behind & 3, count), vectors = (count - head) / 4;
  const int thread = static_cast<int>(threadIdx.x);
  uint32_t found = 0;
  if (thread < head) found = larger_magnitude(found, first[thread]);
  const auto* vector = reinterpret_cast<const float4*>(first + head);
#pragma unroll 4
  for (int i = thread; i < vectors; i += kBlockThreads) {
    const float4 values = vector[i];
    found = larger_magnitude(found, values.x);
    found = larger_magnitude(found, values.y);
    found = larger_magnitude(found, values.z);
    found = larger_magnitude(found, values.w);
  }
  const int tail = head + 4 * vectors + thread;
  if (tail < count) found = larger_magnitude(found, first[tail]);
  found = __reduce_max_sync(0xffffffffu, found);
  if (thread % 32 == 0) atomicMax(largest + row, found);
}

}  // namespace

void raise_largest_magnitudes(const float* x, int64_t rows, int64_t length, uint32_t* largest,
                              CudaStream stream) {
  const int64_t blocks_of_row = ceil_divide(length, kBlockValues);
  LaunchConfig config{"raise_largest_magnitudes", rows * blocks_of_row};
  config.block = kBlockThreads;
  config.stream = stream;
  launch(raise_largest_magnitudes_kernel, config, x, length, blocks_of_row, largest);
}

}  // namespace engine::cuda
