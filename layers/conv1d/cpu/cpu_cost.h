// What CPU kernels predict their times by: cycles of one core with AVX2 or AVX-512 (Zen 3 and Zen 4
// at 3.2 GHz, caches of 32 KB, 512 KB and 32 MB), as measured. Other cores differ, but mostly in
// the same direction for all kernels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/round_up.h"
#include "layers/conv1d/cpu/tap_tile.h"
#include "layers/conv1d/tap_problem.h"

namespace engine::cpu {

inline constexpr double kCyclesPerSecond = 3.2e9;
/// One step of a loop that keeps `sums` vectors of `lanes` floats, each one a chain of `chains`
/// independent ones: two products and two loads of up to eight floats start in a cycle, one of
/// sixteen, and a product takes four.
inline double step_cycles(double sums, double loads, double chains, int64_t lanes) {
  const double passes = lanes > 8 ? 2.0 : 1.0;
  return std::max({0.55 * passes * sums, 0.5 * passes * loads, 4.1 / chains});
}

/// What finds the inputs of a step takes the place of some products, in cycles.
inline constexpr double kStepCycles = 0.7;

/// What a vector of inputs at any address costs, in loads: of vectors of sixteen all cross the end
/// of a cache's line; of those of eight every second one does, and holds up the next.
inline constexpr double kUnalignedLoads = 2.0;

/// Inputs of a channel that a tile takes: strides may leave some of them out.
inline double packed_inputs(const TapProblem& p) {
  const int64_t strided = tap_remainders(p) * p.taps.outputs(0, p.out_length);
  return static_cast<double>(p.taps.in_stride() == 1 ? p.in_length
                                                     : std::min(strided, p.in_length));
}

/// Packing `floats` of input in rows of `row` each.
inline double pack_cycles(double floats, double row) { return floats * (0.5 + 30.0 / row); }

/// What it takes more to store `columns` outputs of one of several phases, value by value.
inline double interleaving_cycles(const TapProblem& p, int64_t columns) {
  return p.taps.phases() == 1 ? 0.0 : 2.0 * static_cast<double>(columns);
}

/// The time in which inputs are read and outputs written once: behind the second-level cache, and
/// behind all caches. Written lines are read first, unless they are `streamed`.
inline double memory_cycles(const TapProblem& p, bool streamed) {
  const double inputs =
      static_cast<double>(p.batch * p.groups * p.group_inputs) * static_cast<double>(p.in_length);
  const double outputs =
      static_cast<double>(p.batch * p.groups * p.group_outputs) * static_cast<double>(p.out_length);
  const double bytes = 4.0 * (inputs + outputs * (streamed ? 1.0 : 2.0));
  constexpr double kCacheBytes = 24e6;
  return bytes * (4.0 * (inputs + outputs) > kCacheBytes ? 0.11 : 0.04);
}

}  // namespace engine::cpu
