// Arranges x, [samples, channels, length], into units of neighbouring channels:
//   target[b, g, r, u, j] = (x[b, g C + u W, p], ..., x[b, g C + u W + W - 1, p])
// with p = j stride + first + remainder[r], W = 16 bytes of elements, C channels a group; the
// padding mode's values beyond the ends, zeros for channels that do not exist.
//
// Threads: a block takes kThreads kPerThread neighbours of all (b, g, u, j, r), r fastest, so that
//   warps read neighbouring positions of a channel; a thread reads the W channels of one and writes
//   their unit. Shared memory: none.
// Precision: as x is stored; f32 is rounded to TF32.
// Bytes: x read once and written once, where taps read every position; limited by that.
// Requires: nothing; blocks are counted in 64 bits within grid.x.
#include <cstring>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "engine/round_up.h"
#include "layers/conv1d/cuda/arrange_units.h"
#include "layers/conv1d/cuda/unaligned.h"
#include "layers/conv1d/cuda/window_units.h"

namespace engine::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 2;

// x and its planes.
struct Arrangement {
  int64_t in_length;
  int channels;  // of a group
  PaddingMode padding_mode;
  UnitPlanes planes;
  FastDivide by_count;
  FastDivide by_pairs;  // (j, r) of one unit of channels
  FastDivide by_units;
  int64_t targets;
};

__device__ __forceinline__ float as_operand(float value) { return round_to_tf32(value); }
template <typename T>
__device__ __forceinline__ T as_operand(T value) {
  return value;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    arrange_units_kernel(const __grid_constant__ Arrangement a, const T* x, uint4* target) {
  constexpr int kWidth = kUnitElements<T>;
  let_next_kernel_begin();
  T values[kPerThread][kWidth];
  uint4* places[kPerThread];
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int64_t index = (blockIdx.x * int64_t{kPerThread} + i) * kThreads + threadIdx.x;
    const int64_t unit_row = a.by_pairs.quotient(index);
    const int64_t pair = index - unit_row * a.by_pairs.divisor();
    const int64_t group = a.by_units.quotient(unit_row);
    const int unit = static_cast<int>(unit_row - group * a.planes.units);
    const int64_t j = a.by_count.quotient(pair);
    const int r = static_cast<int>(pair - j * a.planes.count);
    const int64_t row = (group * a.planes.count + r) * a.planes.units + unit;
    places[i] = index < a.targets ? target + row * a.planes.length + j : nullptr;
    const int64_t position = padded_source(
        j * a.planes.stride + a.planes.first + a.planes.remainder[r], a.in_length, a.padding_mode);
    const bool inside = index < a.targets && position >= 0 && position < a.in_length;
    const int existing = inside ? min(a.channels - unit * kWidth, kWidth) : 0;
    const T* first = x + (group * a.channels + int64_t{unit} * kWidth) * a.in_length + position;
#pragma unroll
    for (int e = 0; e < kWidth; ++e) {
      values[i][e] = from_float<T>(0.0f);
      if (e < existing) values[i][e] = as_operand(first[e * a.in_length]);
    }
  }
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    uint4 bits;
    memcpy(&bits, values[i], sizeof bits);
    if (places[i] != nullptr) *places[i] = bits;
  }
}

}  // namespace

void arrange_units(const Conv1dProblem& p, const UnitPlanes& planes, const void* x, void* target,
                   CudaStream stream) {
  const int64_t pairs = planes.length * planes.count;
  const Arrangement arrangement{p.in_length,
                                static_cast<int>(p.group_inputs()),
                                p.padding_mode,
                                planes,
                                FastDivide(planes.count),
                                FastDivide(pairs),
                                FastDivide(planes.units),
                                p.batch * p.groups * planes.units * pairs};
  LaunchConfig config{"arrange_units",
                      ceil_divide(arrangement.targets, int64_t{kThreads} * kPerThread)};
  config.block = kThreads;
  config.stream = stream;
  with_float_type(p.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch(arrange_units_kernel<T>, config, arrangement, static_cast<const T*>(x),
           static_cast<uint4*>(target));
  });
}

}  // namespace engine::cuda
