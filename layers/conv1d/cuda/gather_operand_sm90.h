// How the threads of the Hopper GEMM that gathers its operands read wgmma's first operand from a
// stage's window, and start its products.
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/gather_window_sm90.h"

namespace engine::cuda {

/// Where a thread finds its elements of unit 0 in a stage's window, in bytes: those of column 64 b
/// + 8 h from its first on.
template <typename Tile>
struct GatherColumns {
  using T = typename Tile::T;
  static constexpr int kBytes = sizeof(T);
  static constexpr int kPerWord = 4 / kBytes;

  uint32_t bytes[Tile::kBlocks][2];
  uint32_t to_second = 0;  ///< of 16-bit types: from the first element of a word to the second

  __device__ __forceinline__ GatherColumns(const ImplicitGemm& p, const GatherWindow& window,
                                           int first_column) {
    // Word t % 4 of a unit.
    const int element = threadIdx.x % 4 * kPerWord;
    const uint32_t first = place(p, window, element);
    if constexpr (kPerWord == 2) to_second = place(p, window, element + 1) - first;
#pragma unroll
    for (int i = 0; i < 2 * Tile::kBlocks; ++i) {
      const int column = first_column + 64 * (i / 2) + 8 * (i % 2);
      bytes[i / 2][i % 2] = first + column * static_cast<int>(p.stride) * kBytes;
    }
  }

 private:
  /// Of an element of a unit, which is one of its channels and taps, in column 0.
  static __device__ __forceinline__ uint32_t place(const ImplicitGemm& p,
                                                   const GatherWindow& window, int element) {
    const int row = element >> p.log_unit_taps;
    const int tap = element & (p.unit_taps - 1);
    return row * p.row_pitch * 4 +
           (window.row_shift<T>(p, row) + tap * static_cast<int>(p.spacing)) * kBytes;
  }
};

/// Reads a thread's word of the first operand from the shared address of its first element.
template <typename T>
__device__ __forceinline__ uint32_t gather_word(uint32_t address, uint32_t to_second) {
  if constexpr (sizeof(T) == 2) {
    return load_shared_half(address) | load_shared_half(address + to_second) << 16;
  } else {
    return load_shared(address);
  }
}

/// The first operand of a group of steps: words of all blocks; with two parts, what rounding leaves
/// of each.
template <typename Tile>
struct GatherGroup {
  using T = typename Tile::T;

  uint32_t words[Tile::kSteps][Tile::kBlocks][4];
  uint32_t rest[Tile::kParts == 2 ? Tile::kSteps : 1][Tile::kBlocks][4];

  /// Reads the steps from `step` on of a window whose columns are at shared addresses.
  __device__ __forceinline__ void gather(const ImplicitGemm& p, int step,
                                         const GatherColumns<Tile>& columns) {
#pragma unroll
    for (int s = 0; s < Tile::kSteps; ++s) {
#pragma unroll
      for (int u = 0; u < 2; ++u) {
        const uint32_t offset = p.step[2 * (step + s) + u];
#pragma unroll
        for (int i = 0; i < 2 * Tile::kBlocks; ++i) {
          uint32_t& word = words[s][i / 2][2 * u + i % 2];
          word = gather_word<T>(columns.bytes[i / 2][i % 2] + offset, columns.to_second);
          if constexpr (sizeof(T) == 4) {
            const float value = __uint_as_float(word);
            const float big = round_to_tf32(value);
            word = __float_as_uint(big);
            if constexpr (Tile::kParts == 2) {
              rest[s][i / 2][2 * u + i % 2] = __float_as_uint(round_to_tf32(value - as_tf32(big)));
            }
          }
        }
      }
    }
  }

  /// Starts the products. `weights` is the shared address of the first step's, in units, and
  /// `rest_units` further lie those that rounding left.
  __device__ __forceinline__ void start(uint32_t weights, uint32_t rest_units,
                                        float (&sum)[Tile::kBlocks][Tile::kRows / 2]) const {
    constexpr uint32_t kUnit = Tile::kRows << 16;
    constexpr uint32_t kStep = 2 * Tile::kRows;
    wgmma_fence();
#pragma unroll
    for (int s = 0; s < Tile::kSteps; ++s) {
      const uint32_t big = weights + s * kStep + kUnit;
      if constexpr (Tile::kParts == 2) {
        start_step(rest[s], big, sum);
        start_step(words[s], big + rest_units, sum);
      }
      start_step(words[s], big, sum);
    }
    wgmma_commit();
  }

 private:
  static __device__ __forceinline__ void start_step(const uint32_t (&words)[Tile::kBlocks][4],
                                                    uint32_t weights,
                                                    float (&sum)[Tile::kBlocks][Tile::kRows / 2]) {
    // 512 threads have too few registers for products of 256 rows at once.
    constexpr int kAtOnce = Tile::kRows > 128 ? 128 : Tile::kRows;
    auto& sums = reinterpret_cast<float(&)[Tile::kBlocks][Tile::kRows / kAtOnce][kAtOnce / 2]>(sum);
#pragma unroll
    for (int b = 0; b < Tile::kBlocks; ++b) {
#pragma unroll
      for (int i = 0; i < Tile::kRows / kAtOnce; ++i) {
        wgmma_gathered<T, kAtOnce>(sums[b][i], words[b], wgmma_descriptor(weights + i * kAtOnce));
      }
    }
  }
};

/// Multiplies one stage, whose window and weights are there: while one group is multiplied, the
/// next is gathered. Calls when_last_is_done() when the products of the stage before are done, and
/// prepare_next() when only the wait for products is left to do. Returns with the last group under
/// way, unless it is in the registers of the first.
template <typename Tile, typename WhenLastIsDone, typename PrepareNext>
__device__ __forceinline__ void multiply_gathered(const ImplicitGemm& p,
                                                  const GatherColumns<Tile>& columns,
                                                  uint32_t weights,
                                                  float (&sum)[Tile::kBlocks][Tile::kRows / 2],
                                                  const WhenLastIsDone& when_last_is_done,
                                                  const PrepareNext& prepare_next) {
  constexpr uint32_t kGroup = Tile::kSteps * 2 * Tile::kRows;
  const uint32_t rest = p.steps * 2 * Tile::kRows;
  GatherGroup<Tile> first, second;
  first.gather(p, 0, columns);
  first.start(weights, rest, sum);
  wgmma_wait<1>();
  when_last_is_done();
  int step = Tile::kSteps;
#pragma unroll 1
  for (; step + Tile::kSteps < p.steps; step += 2 * Tile::kSteps) {
    second.gather(p, step, columns);
    second.start(weights + kGroup, rest, sum);
    wgmma_wait<1>();
    first.gather(p, step + Tile::kSteps, columns);
    weights += 2 * kGroup;
    first.start(weights, rest, sum);
    wgmma_wait<1>();
  }
  if (step < p.steps) {
    second.gather(p, step, columns);
    second.start(weights + kGroup, rest, sum);
    prepare_next();
    wgmma_wait<1>();
  } else {
    prepare_next();
    wgmma_wait<0>();
  }
}

}  // namespace engine::cuda
