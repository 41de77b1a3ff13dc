// x as units of 16 bytes, each of neighbouring channels at one position: what tensor cores read
// from shared memory without anything being turned on the way. Positions that lie a stride apart
// follow each other in a plane of their own, so that strides and paddings are gone.
#pragma once

#include <cstdint>

#include "engine/cuda/runtime.h"
#include "layers/conv1d/conv1d_problem.h"

namespace engine::cuda {

inline constexpr int kMostPlanes = 16;

/// [sample][group][plane][unit of channels][position] units. Position j of plane r is input
/// position j stride + first + remainder[r], padding included; channels that do not exist are
/// zeros.
struct UnitPlanes {
  int count = 0;
  int64_t stride = 1;
  int64_t first = 0;
  int remainder[kMostPlanes] = {};
  int units = 0;       ///< of a plane
  int64_t length = 0;  ///< positions of a plane

  int64_t sample_bytes(int64_t groups) const { return groups * count * units * length * 16; }
};

/// Arranges the samples of x, of problem.batch, at `target`. Rounds to TF32 in that precision. The
/// next kernel may begin early.
void arrange_units(const Conv1dProblem& problem, const UnitPlanes& planes, const void* x,
                   void* target, CudaStream stream);

}  // namespace engine::cuda
