// How the threads of the Hopper GEMM that gathers its operands read wgmma's first operand from a
// stage's window, and start its products.
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/gather_window_sm90.h"

namespace engine::cuda {

/// Where a thread finds its words of unit 0 in a stage's window, in bytes: those of column 64 b + 8
/// h from its first on.
template <typename Tile>
struct GatherColumns {
  uint32_t bytes[Tile::kBlocks][2];

  __device__ __forceinline__ GatherColumns(const ImplicitGemm& p, const GatherWindow& window,
                                           int first_column) {
    // Word t % 4 of a unit: which channel and tap.
    const int word = threadIdx.x % 4;
    const int row = word >> p.log_unit_taps;
    const int tap = word & (p.unit_taps - 1);
    const int first = row * p.row_pitch + window.row_shift<typename Tile::T>(p, row) +
                      tap * static_cast<int>(p.spacing);
#pragma unroll
    for (int i = 0; i < 2 * Tile::kBlocks; ++i) {
      const int column = first_column + 64 * (i / 2) + 8 * (i % 2);
      bytes[i / 2][i % 2] = 4 * (first + column * static_cast<int>(p.stride));
    }
  }
};

/// The first operand of a group of steps: words of all blocks; with two parts, what rounding leaves
/// of each.
template <typename Tile>
struct GatherGroup {
  uint32_t words[Tile::kSteps][Tile::kBlocks][4];
  uint32_t rest[Tile::kParts == 2 ? Tile::kSteps : 1][Tile::kBlocks][4];

  /// Reads the steps from `step` on of a window whose columns are at shared addresses.
  __device__ __forceinline__ void gather(const ImplicitGemm& p, int step,
                                         const uint32_t (&columns)[Tile::kBlocks][2]) {
#pragma unroll
    for (int s = 0; s < Tile::kSteps; ++s) {
#pragma unroll
      for (int u = 0; u < 2; ++u) {
        const uint32_t offset = p.step[2 * (step + s) + u];
#pragma unroll
        for (int i = 0; i < 2 * Tile::kBlocks; ++i) {
          const float value = __uint_as_float(load_shared(columns[i / 2][i % 2] + offset));
          const float big = round_to_tf32(value);
          words[s][i / 2][2 * u + i % 2] = __float_as_uint(big);
          if constexpr (Tile::kParts == 2) {
            rest[s][i / 2][2 * u + i % 2] = __float_as_uint(round_to_tf32(value - as_tf32(big)));
          }
        }
      }
    }
  }

  /// Starts the products; waits until those before are done. `weights` is the shared address of the
  /// first step's, in units, and `rest_units` further lie those that rounding left.
  __device__ __forceinline__ void multiply(uint32_t weights, uint32_t rest_units,
                                           float (&sum)[Tile::kBlocks][Tile::kRows / 2]) const {
    constexpr uint32_t kUnit = Tile::kRows << 16;
    constexpr uint32_t kStep = 2 * Tile::kRows;
    wgmma_fence();
#pragma unroll
    for (int s = 0; s < Tile::kSteps; ++s) {
      const uint32_t big = weights + s * kStep + kUnit;
      if constexpr (Tile::kParts == 2) {
        start(rest[s], big, sum);
        start(words[s], big + rest_units, sum);
      }
      start(words[s], big, sum);
    }
    wgmma_commit();
    wgmma_wait<1>();
  }

 private:
  static __device__ __forceinline__ void start(const uint32_t (&words)[Tile::kBlocks][4],
                                               uint32_t weights,
                                               float (&sum)[Tile::kBlocks][Tile::kRows / 2]) {
#pragma unroll
    for (int b = 0; b < Tile::kBlocks; ++b) {
      wgmma_gathered<Tile::kRows>(sum[b], words[b], wgmma_descriptor(weights));
    }
  }
};

/// Multiplies one stage, whose window and weights are there: while one group is multiplied, the
/// next is gathered. Calls when_last_is_done() when the products of the stage before are done.
/// Returns with the last group under way, unless it is in the registers of the first.
template <typename Tile, typename WhenLastIsDone>
__device__ __forceinline__ void multiply_gathered(const ImplicitGemm& p,
                                                  const uint32_t (&columns)[Tile::kBlocks][2],
                                                  uint32_t weights,
                                                  float (&sum)[Tile::kBlocks][Tile::kRows / 2],
                                                  const WhenLastIsDone& when_last_is_done) {
  constexpr uint32_t kGroup = Tile::kSteps * 2 * Tile::kRows;
  const uint32_t rest = p.steps * 2 * Tile::kRows;
  GatherGroup<Tile> first, second;
  first.gather(p, 0, columns);
  first.multiply(weights, rest, sum);
  when_last_is_done();
  int step = Tile::kSteps;
#pragma unroll 1
  for (; step + Tile::kSteps < p.steps; step += 2 * Tile::kSteps) {
    second.gather(p, step, columns);
    second.multiply(weights + kGroup, rest, sum);
    first.gather(p, step + Tile::kSteps, columns);
    weights += 2 * kGroup;
    first.multiply(weights, rest, sum);
  }
  if (step < p.steps) {
    second.gather(p, step, columns);
    second.multiply(weights + kGroup, rest, sum);
  } else {
    wgmma_wait<0>();
  }
}

}  // namespace engine::cuda
