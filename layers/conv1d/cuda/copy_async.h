// Copies from global to shared memory that pass by the registers (Ampere and later).
#pragma once

#include "engine/cuda/shared_address.h"

namespace engine::cuda {

/// Starts the copy of 16 bytes, both ends aligned to 16.
__device__ __forceinline__ void copy_async_16(void* shared, const void* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)),
               "l"(global)
               : "memory");
}

/// Starts the copy of 4 aligned bytes, or writes zeros where `exists` is false.
__device__ __forceinline__ void copy_async_4_or_zero(void* shared, const void* global,
                                                     bool exists) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(shared)),
               "l"(global), "r"(exists ? 4 : 0)
               : "memory");
}

/// Makes a group of the copies that this thread started since its last group.
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits until at most kPending of this thread's groups of copies are not done.
template <int kPending>
__device__ __forceinline__ void wait_for_copy_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

/// Waits for all copies that this thread started; other threads see them behind a barrier.
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}

}  // namespace engine::cuda
