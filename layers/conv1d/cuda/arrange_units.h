// x as units of 16 bytes, each of neighbouring channels at one position: what tensor cores read
// from shared memory without anything being turned on the way. Positions that lie a stride apart
// follow each other in a plane of their own, so that strides and paddings are gone.
#pragma once

#include <cstdint>

#include "engine/cuda/runtime.h"
#include "layers/conv1d/conv1d_problem.h"

namespace engine::cuda {

inline constexpr int kMostPlanes = 16;
inline constexpr int kOperandUnit = 8;  // channels of a unit
inline constexpr int kUnitsOfStage = 4;

/// [sample][group][plane][stage][part][unit of channels][position] units, or of joined samples
/// [group][plane][stage][part][unit of channels][sample][position]: of two parts, which f32 in f16
/// may have (half_parts.h), a stage has kUnitsOfStage of each. Position j of plane r is input
/// position j stride + first + remainder[r], padding included; channels that do not exist are
/// zeros.
struct UnitPlanes {
  int count = 0;
  int64_t stride = 1;
  int64_t first = 0;
  int remainder[kMostPlanes] = {};
  int units = 0;       ///< of channels, of a plane
  int parts = 1;       ///< of each
  int64_t length = 0;  ///< positions of a plane, of a sample
  int64_t joined = 1;  ///< samples: all or none

  int64_t sample_bytes(int64_t groups) const {
    return groups * count * units * parts * length * 16;
  }
  /// Units from one of channels to the next.
  int64_t unit_pitch() const { return joined * length; }
};

struct UnitScale;  // half_parts.h

/// Where the scales of f32 go.
struct UnitScales {
  UnitScale* of_groups = nullptr;  ///< [samples, groups]
  uint32_t* any_exceeds = nullptr;

  UnitScales() = default;
  /// For `count` scales in bytes_of(count) bytes of memory.
  UnitScales(void* memory, int64_t count);
  static int64_t bytes_of(int64_t count);
};

/// Arranges the samples of x, of problem.batch, at `target`; f32 is scaled. The next kernel may
/// begin early.
void arrange_units(const Conv1dProblem& problem, const UnitPlanes& planes, const void* x,
                   const UnitScales& scales, void* target, CudaStream stream);

}  // namespace engine::cuda
