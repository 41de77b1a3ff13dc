// Where the warps of the Hopper GEMM that gathers its operands are in a ring.
#pragma once

#include <cstdint>

namespace engine::cuda {

/// A place in a ring: the slot, and how often the ring went round.
struct GatherRingPosition {
  int slot = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ void advance(int ring) {
    if (++slot < ring) return;
    slot = 0;
    parity ^= 1;
  }
};

}  // namespace engine::cuda
