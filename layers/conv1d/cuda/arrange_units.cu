// Arranges x, [samples, channels, length], into units of neighbouring channels:
//   target[b, g, r, u, j] = (x[b, g C + 8 u, p], ..., x[b, g C + 8 u + 7, p])
// with p = j stride + first + remainder[r], C channels a group; the padding mode's values beyond
// the ends, zeros for channels that do not exist. f32 becomes f16 of one or two parts.
//
// Threads: a thread makes two units, of which it reads the eight channels. Units follow each other
//   by (b, g, u, j, r), r fastest, so that warps read neighbouring positions of a channel. Of
//   several planes the two are neighbours, read together where they lie at an even element; of one
//   plane, where units are stored side by side, they are a block apart. Shared memory: none.
// Precision: as x is stored; of f32 11 or 22 bits (half_parts.h).
// Bytes: x read once and written once, where taps read every position; limited by that.
// Requires: nothing; blocks are counted in 64 bits within grid.x.
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

// x and its planes.
struct Arrangement {
  int64_t in_length;
  int channels;  // of a group
  PaddingMode padding_mode;
  UnitPlanes planes;
  const uint32_t* largest;
  FastDivide by_count;
  FastDivide by_pairs;  // (j, r) of one unit of channels, and one that lets the others begin evenly
  FastDivide by_units;
  int64_t unit_rows;  // (b, g, u)
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
  float scale;             // of f32
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
    const int64_t group = a.by_units.quotient(unit_row);
    const int unit = static_cast<int>(unit_row - group * a.planes.units);
    const int64_t j = a.by_count.quotient(pair);
    const int r = static_cast<int>(pair - j * a.planes.count);
    const int64_t plane = (group * a.planes.count + r) * a.planes.units * a.planes.parts;
    const int64_t row = plane + unit + unit / kUnitsOfStage * kUnitsOfStage * (a.planes.parts - 1);
    place = target + row * a.planes.length + j;
    if constexpr (sizeof(T) == 4) scale = __uint_as_float(HalfScale(a.largest[group]).bits);
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
  __device__ __forceinline__ void store(const Arrangement& a) const {
    if (place == nullptr) return;
    if constexpr (sizeof(T) == 4) {
      store_parts(a);
    } else {
      uint4 bits;
      memcpy(&bits, values, sizeof bits);
      *place = bits;
    }
  }

 private:
  __device__ __forceinline__ void store_parts(const Arrangement& a) const {
    uint4 big, rest;
#pragma unroll
    for (int i = 0; i < kOperandUnit / 2; ++i) {
      const HalfPartsOfPair parts(values[2 * i] * scale, values[2 * i + 1] * scale);
      (&big.x)[i] = parts.big;
      (&rest.x)[i] = parts.rest;
    }
    *place = big;
    if (a.planes.parts == 2) place[kUnitsOfStage * a.planes.length] = rest;
  }
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    arrange_units_kernel(const __grid_constant__ Arrangement a, const T* x, uint4* target) {
  let_next_kernel_begin();
  const bool neighbours = a.planes.count > 1;
  const int64_t first = blockIdx.x * int64_t{2 * kThreads} + threadIdx.x * (neighbours ? 2 : 1);
  ArrangedUnit<T> one(a, first, x, target);
  ArrangedUnit<T> other(a, first + (neighbours ? 1 : kThreads), x, target);
  if (one.has_neighbour(a, other)) {
    one.load_with(a, other);
  } else {
    one.load(a);
    other.load(a);
  }
  one.store(a);
  other.store(a);
}

}  // namespace

void arrange_units(const Conv1dProblem& p, const UnitPlanes& planes, const void* x,
                   const uint32_t* largest, void* target, CudaStream stream) {
  const int64_t pairs = planes.length * planes.count;
  const int odd = static_cast<int>((planes.first + planes.remainder[0]) & 1);
  const int64_t indices = round_up(pairs + odd, 2);
  const Arrangement arrangement{p.in_length,
                                static_cast<int>(p.group_inputs()),
                                p.padding_mode,
                                planes,
                                largest,
                                FastDivide(planes.count),
                                FastDivide(indices),
                                FastDivide(planes.units),
                                p.batch * p.groups * planes.units,
                                pairs,
                                odd};
  LaunchConfig config{"arrange_units",
                      ceil_divide(arrangement.unit_rows * indices, int64_t{2 * kThreads})};
  config.block = kThreads;
  config.stream = stream;
  with_float_type(p.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch(arrange_units_kernel<T>, config, arrangement, static_cast<const T*>(x),
           static_cast<uint4*>(target));
  });
}

}  // namespace engine::cuda
