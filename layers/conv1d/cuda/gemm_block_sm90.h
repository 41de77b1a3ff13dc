// What the blocks of the Hopper GEMM kernels have in common.
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"

namespace engine::cuda {

/// Copies the weights of the block's rows, for all its tiles: `stages` of p.weight_bytes. Gemm: the
/// parameters of a kernel.
template <typename Gemm>
__device__ __forceinline__ void load_resident_weights(const Gemm& p, int stages, Barrier& full,
                                                      char* resident) {
  const char* source = static_cast<const char*>(p.weights) +
                       int64_t{p.weight_bytes} * stages * (blockIdx.x % (p.row_tiles * p.groups));
  full.arrive_and_expect(stages * p.weight_bytes);
  for (int s = 0; s < stages; ++s) {
    bulk_copy(shared_address(resident) + s * p.weight_bytes, source + s * p.weight_bytes,
              p.weight_bytes, full);
  }
}

/// What a whole warp knows to be the same for all its lanes, in a way that the compiler sees.
__device__ __forceinline__ uint32_t uniform(uint32_t value) {
  return __shfl_sync(0xffffffffu, value, 0);
}

}  // namespace engine::cuda
