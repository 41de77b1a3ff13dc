// Arranges x, [samples, channels, length], into units of neighbouring channels:
//   target[b, g, r, u, j] = (x[b, g C + 8 u, p], ..., x[b, g C + 8 u + 7, p])
// with p = j stride + first + remainder[r], C channels a group; the padding mode's values beyond
// the ends, zeros for channels that do not exist. f32 becomes f16 of one or two parts, scaled for
// each sample and group: by what some of its values are, so that x is read once. Where values turn
// out to have no room, the sample and group is arranged again, scaled by its largest one.
//
// Threads: a thread makes two units, of which it reads the eight channels. Units follow each other
//   by (b, g, u, j, r), r fastest, so that warps read neighbouring positions of a channel. Of
//   several planes the two are neighbours, read together where they lie at an even element; of one
//   plane, where units are stored side by side, they are a block apart. A block draws the scale of
//   a sample and group, by largest magnitudes of its warps in shared memory; x is read meanwhile.
// Precision: as x is stored; of f32 11 or 22 bits (half_parts.h).
// Bytes: x read once and written once, where taps read every position; limited by that.
// Requires: nothing; blocks are counted in 64 bits within grid.x.
#include <algorithm>
#include <cstring>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "engine/round_up.h"
#include "layers/conv1d/cuda/arrange_units.h"
#include "layers/conv1d/cuda/half_parts.h"
#include "layers/conv1d/cuda/unaligned.h"

namespace engine::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kDrawnOfThread = 8;  // values from which a scale is drawn

// x and its planes.
struct Arrangement {
  int64_t in_length;
  int channels;  // of a group
  PaddingMode padding_mode;
  UnitPlanes planes;
  UnitScales scales;
  FastDivide by_count;
  FastDivide by_pairs;  // (j, r) of one unit of channels, and one that lets the others begin evenly
  FastDivide by_units;
  FastDivide by_length;
  int64_t groups;
  int64_t unit_pitch;
  int64_t unit_rows;  // (b, g, u); of joined samples (g, u), whose positions are all (b, j)
  int64_t pairs;      // (j, r) that there are
  int odd;            // the first of them

  __device__ __forceinline__ int64_t position(int64_t j, int r) const {
    const int64_t padded = j * planes.stride + planes.first + planes.remainder[r];
    return padded_source(padded, in_length, padding_mode);
  }
};

template <typename T>
struct alignas(2 * sizeof(T)) Neighbours {
  T first;
  T second;
};

// One unit to be made.
template <typename T>
struct ArrangedUnit {
  uint4* place = nullptr;  // where it goes, if there is one
  int64_t group;           // of all samples
  const T* source;         // of its first channel
  int existing = 0;        // channels; none beyond x where padding is zeros
  T values[kOperandUnit];

  // Number `index` of all, with those that only let others begin evenly.
  __device__ __forceinline__ ArrangedUnit(const Arrangement& a, int64_t index, const T* x,
                                          uint4* target) {
#pragma unroll
    for (T& value : values) value = from_float<T>(0.0f);
    const int64_t unit_row = a.by_pairs.quotient(index);
    const int64_t pair = index - unit_row * a.by_pairs.divisor() - a.odd;
    if (unit_row >= a.unit_rows || pair < 0 || pair >= a.pairs) return;
    group = a.by_units.quotient(unit_row);
    const int unit = static_cast<int>(unit_row - group * a.planes.units);
    int64_t j = a.by_count.quotient(pair);
    const int r = static_cast<int>(pair - j * a.planes.count);
    const int64_t plane = (group * a.planes.count + r) * a.planes.units * a.planes.parts;
    const int64_t row = plane + unit + unit / kUnitsOfStage * kUnitsOfStage * (a.planes.parts - 1);
    place = target + row * a.unit_pitch + j;
    if (a.planes.joined > 1) {
      const int64_t sample = a.by_length.quotient(j);
      group += sample * a.groups;
      j -= sample * a.planes.length;
    }
    const int64_t position = a.position(j, r);
    source = x + (group * a.channels + int64_t{unit} * kOperandUnit) * a.in_length + position;
    const bool inside = position >= 0 && position < a.in_length;
    if (inside) existing = min(a.channels - unit * kOperandUnit, kOperandUnit);
  }
  __device__ __forceinline__ void load(const Arrangement& a) {
#pragma unroll
    for (int e = 0; e < kOperandUnit; ++e) {
      if (e < existing) values[e] = source[e * a.in_length];
    }
  }
  // Whether `next` can be read together with this one.
  __device__ __forceinline__ bool has_neighbour(const Arrangement& a,
                                                const ArrangedUnit& next) const {
    const auto address = reinterpret_cast<uintptr_t>(source);
    return existing > 0 && next.existing == existing && next.source == source + 1 &&
           a.in_length % 2 == 0 && address % sizeof(Neighbours<T>) == 0;
  }
  __device__ __forceinline__ void load_with(const Arrangement& a, ArrangedUnit& next) {
#pragma unroll
    for (int e = 0; e < kOperandUnit; ++e) {
      if (e >= existing) continue;
      const auto two = *reinterpret_cast<const Neighbours<T>*>(source + e * a.in_length);
      values[e] = two.first;
      next.values[e] = two.second;
    }
  }
  // Of f32: has its sample and group arranged again if a value has no room.
  __device__ __forceinline__ void report(UnitScale& scale, uint32_t* any_exceeds) const {
    uint32_t largest = 0;
#pragma unroll
    for (const T& value : values) largest = larger_magnitude(largest, value);
    if (largest < scale.limit() || largest <= __ldcg(&scale.exceeding)) return;
    atomicMax(&scale.exceeding, largest);
    *any_exceeds = 1;
  }
  __device__ __forceinline__ void store() const {
    uint4 bits;
    memcpy(&bits, values, sizeof bits);
    *place = bits;
  }
  __device__ __forceinline__ void store_scaled(const Arrangement& a, const HalfScale& half) const {
    const float scale = __uint_as_float(half.bits);
    uint4 big, rest;
#pragma unroll
    for (int i = 0; i < kOperandUnit / 2; ++i) {
      const HalfPartsOfPair parts(values[2 * i] * scale, values[2 * i + 1] * scale);
      (&big.x)[i] = parts.big;
      (&rest.x)[i] = parts.rest;
    }
    *place = big;
    if (a.planes.parts == 2) place[kUnitsOfStage * a.unit_pitch] = rest;
  }
};

// The two units of a thread of block `block`, as they are in x.
template <typename T>
struct UnitPair {
  ArrangedUnit<T> one, other;

  __device__ __forceinline__ UnitPair(const Arrangement& a, int64_t block, const T* x,
                                      uint4* target)
      : one(a, first(a, block), x, target), other(a, first(a, block) + apart(a), x, target) {
    if (one.has_neighbour(a, other)) {
      one.load_with(a, other);
    } else {
      one.load(a);
      other.load(a);
    }
  }

 private:
  __device__ __forceinline__ static int apart(const Arrangement& a) {
    return a.planes.count > 1 ? 1 : kThreads;
  }
  __device__ __forceinline__ static int64_t first(const Arrangement& a, int64_t block) {
    return block * 2 * kThreads + threadIdx.x * (a.planes.count > 1 ? 2 : 1);
  }
};

template <typename T>
__device__ __forceinline__ void store_unit(const Arrangement& a, const ArrangedUnit<T>& unit) {
  if (unit.place == nullptr) return;
  if constexpr (sizeof(T) == 4) {
    UnitScale& scale = a.scales.of_groups[unit.group];
    unit.report(scale, a.scales.any_exceeds);
    unit.store_scaled(a, scale.drawn_scale());
  } else {
    unit.store();
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    arrange_units_kernel(const __grid_constant__ Arrangement a, const T* x, uint4* target) {
  let_next_kernel_begin();
  const UnitPair<T> units(a, blockIdx.x, x, target);
  if constexpr (sizeof(T) == 4) await_previous_kernel();  // for scales
  store_unit(a, units.one);
  store_unit(a, units.other);
}

// Stores a unit of a sample and group with values that had no room.
__device__ __forceinline__ void store_again(const Arrangement& a, const ArrangedUnit<float>& unit) {
  if (unit.place == nullptr) return;
  const UnitScale& scale = a.scales.of_groups[unit.group];
  if (scale.exceeding != 0) unit.store_scaled(a, scale.scale());
}

__global__ void __launch_bounds__(kThreads)
    arrange_again_kernel(const __grid_constant__ Arrangement a, const float* x, uint4* target,
                         int64_t blocks) {
  let_next_kernel_begin();
  await_previous_kernel();
  if (*a.scales.any_exceeds == 0) return;
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const UnitPair<float> units(a, block, x, target);
    store_again(a, units.one);
    store_again(a, units.other);
  }
}

// Draws the scale of a sample and group, of `length` values, for each block.
__global__ void __launch_bounds__(kThreads)
    draw_scales_kernel(const float* x, int64_t length, UnitScales scales) {
  let_next_kernel_begin();
  constexpr int kDrawn = kThreads * kDrawnOfThread;
  const float* values = x + blockIdx.x * length;
  const int64_t step = (length + kDrawn - 1) / kDrawn;
  uint32_t largest = 0;
#pragma unroll
  for (int i = 0; i < kDrawnOfThread; ++i) {
    const uint32_t number = i * kThreads + threadIdx.x;
    // Anywhere in its step, so that no period of x is met.
    const uint64_t within = uint64_t{number * 0x9e3779b1u} * static_cast<uint64_t>(step) >> 32;
    const int64_t index = number * step + static_cast<int64_t>(within);
    if (index < length) largest = larger_magnitude(largest, values[index]);
  }
  auto* of_warps = reinterpret_cast<uint32_t*>(dynamic_shared());
  largest = __reduce_max_sync(0xffffffffu, largest);
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = largest;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int warp = 1; warp < kThreads / 32; ++warp) largest = max(largest, of_warps[warp]);
  scales.of_groups[blockIdx.x] = {largest, 0};
  if (blockIdx.x == 0) *scales.any_exceeds = 0;
}

void draw_scales(const Conv1dProblem& p, const float* x, const UnitScales& scales,
                 CudaStream stream) {
  LaunchConfig config{"draw_scales", p.batch * p.groups};
  config.block = kThreads;
  config.shared_bytes = kThreads / 32 * sizeof(uint32_t);
  config.stream = stream;
  launch(draw_scales_kernel, config, x, p.group_inputs() * p.in_length, scales);
}

void arrange_again(const Arrangement& arrangement, const float* x, uint4* target, int64_t blocks,
                   CudaStream stream) {
  constexpr int64_t kMostBlocks = 264;  // more take longer to start than what they mostly find
  LaunchConfig config{"arrange_again", std::min(blocks, kMostBlocks)};
  config.block = kThreads;
  config.stream = stream;
  config.begins_early = true;
  launch(arrange_again_kernel, config, arrangement, x, target, blocks);
}

}  // namespace

UnitScales::UnitScales(void* memory, int64_t count)
    : of_groups(static_cast<UnitScale*>(memory)),
      any_exceeds(reinterpret_cast<uint32_t*>(of_groups + count)) {}

int64_t UnitScales::bytes_of(int64_t count) {
  return count * int64_t{sizeof(UnitScale)} + int64_t{sizeof(uint32_t)};
}

void arrange_units(const Conv1dProblem& p, const UnitPlanes& planes, const void* x,
                   const UnitScales& scales, void* target, CudaStream stream) {
  const int64_t pairs = planes.unit_pitch() * planes.count;
  const int odd = static_cast<int>((planes.first + planes.remainder[0]) & 1);
  const int64_t indices = round_up(pairs + odd, 2);
  const Arrangement arrangement{p.in_length,
                                static_cast<int>(p.group_inputs()),
                                p.padding_mode,
                                planes,
                                scales,
                                FastDivide(planes.count),
                                FastDivide(indices),
                                FastDivide(planes.units),
                                FastDivide(planes.length),
                                p.groups,
                                planes.unit_pitch(),
                                p.batch / planes.joined * p.groups * planes.units,
                                pairs,
                                odd};
  LaunchConfig config{"arrange_units",
                      ceil_divide(arrangement.unit_rows * indices, int64_t{2 * kThreads})};
  config.block = kThreads;
  config.stream = stream;
  with_float_type(p.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto* values = static_cast<const T*>(x);
    auto* units = static_cast<uint4*>(target);
    if constexpr (sizeof(T) == 4) {
      draw_scales(p, values, scales, stream);
      config.begins_early = true;
    }
    launch(arrange_units_kernel<T>, config, arrangement, values, units);
    if constexpr (sizeof(T) == 4) {
      arrange_again(arrangement, values, units, config.grid_x, stream);
    }
  });
}

}  // namespace engine::cuda
