// engine/cuda/mma_sync.h for the emulator.
#pragma once

#include <type_traits>

#include "tests/emulation/emulator.h"

namespace engine::cuda {

inline void load_matrices(uint32_t (&words)[4], uint32_t row) {
  const int lane = threadIdx.x % 32;
  if (row % 16 != 0) test::emulator::fail("a matrix row is not aligned");
  if (int64_t{row} + 16 > test::emulator::kSharedBytes) {
    test::emulator::fail("a matrix row leaves shared memory");
  }
  const auto* rows = test::emulator::warp_exchange({{row}});
  for (int i = 0; i < 4; ++i) {
    const uint64_t from = rows[8 * i + lane / 4].words[0];
    std::memcpy(&words[i], test::emulator::shared_memory() + from + lane % 4 * 4, 4);
  }
}

// Elements 0 and 1 of a word as the tensor core reads them. float stands for TF32, of which a word
// has one.
template <typename T>
void matrix_elements(uint32_t word, float (&values)[2]) {
  if constexpr (std::is_same_v<T, float>) {
    values[0] = __uint_as_float(word & 0xffffe000u);
    values[1] = 0.0f;
  } else {
    T elements[2];
    std::memcpy(static_cast<void*>(elements), &word, sizeof word);
    for (int i = 0; i < 2; ++i) values[i] = static_cast<float>(elements[i]);
  }
}

template <typename T>
void multiply_matrices(float* sum, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const auto pair = [](uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; };
  const auto* given =
      test::emulator::warp_exchange({{pair(a[0], a[1]), pair(a[2], a[3]), pair(b0, b1)}});
  for (int i = 0; i < 4; ++i) {
    const int h = i / 2, e = i % 2;
    double total = sum[i];
    for (int k = 0; k < 8; ++k) {  // words of the reduction
      float row[2], column[2];
      matrix_elements<T>(given[4 * g + k % 4].words[k / 4] >> 32 * h, row);
      matrix_elements<T>(given[4 * (2 * t + e) + k % 4].words[2] >> 32 * (k / 4), column);
      total += static_cast<double>(row[0]) * column[0] + static_cast<double>(row[1]) * column[1];
    }
    sum[i] = static_cast<float>(total);
  }
}

}  // namespace engine::cuda
