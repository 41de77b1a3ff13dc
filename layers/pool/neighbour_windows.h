// Pooling windows that are neither padded nor overlap nor leave gaps, on the CPU: the most usual
// ones, read once by whole vectors.
#pragma once

#include <cstdint>

namespace engine::cpu {

/// Most taps of a window.
inline constexpr int64_t kMostNeighbours = 4;

/// y[o] = the maximum or the mean of x[o * size], ... x[o * size + size - 1] for o < count.
using NeighbourLoop = void (*)(const float* x, float* y, int64_t count);

/// For windows of `size` >= 2 taps, and the best instruction set of this machine.
NeighbourLoop neighbour_loop(int64_t size, bool average);

}  // namespace engine::cpu
