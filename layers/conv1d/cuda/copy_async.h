// Copies from global to shared memory that pass by the registers (Ampere and later).
#pragma once

#include <cstdint>

namespace engine::cuda {

/// Starts the copy of 16 bytes, both ends aligned to 16.
__device__ __forceinline__ void copy_async_16(void* shared, const void* global) {
  const auto target = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(global) : "memory");
}

/// Waits for all copies that this thread started; other threads see them behind a barrier.
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}

}  // namespace engine::cuda
