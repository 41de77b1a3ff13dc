// Where the warps of the Hopper GEMM kernels are in a ring of slots.
#pragma once

#include <cstdint>

namespace engine::cuda {

/// A place in a ring: the slot, and how often the ring went round.
struct RingPosition {
  int slot = 0;
  uint32_t parity = 0;

  /// To the next slot.
  __device__ __forceinline__ void advance(int ring) {
    if (++slot < ring) return;
    slot = 0;
    parity ^= 1;
  }
  __device__ __forceinline__ void advance_by(int slots, int ring) {
    slot += slots;
    while (slot >= ring) {
      slot -= ring;
      parity ^= 1;
    }
  }
};

}  // namespace engine::cuda
