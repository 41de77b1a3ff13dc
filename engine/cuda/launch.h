// The one way to launch a kernel: checked, with grid limits and shared-memory opt-in.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "engine/cuda/check.h"

namespace engine::cuda {

/// Shape of a launch. The unbounded dimension belongs in grid_x (limit 2^31 - 1); y and z stop at
/// 65,535, so kernels that may exceed any of them loop with a grid stride.
struct LaunchConfig {
  const char* name;  ///< the kernel's name, for error messages
  int64_t grid_x = 1;
  int64_t grid_y = 1;
  int64_t grid_z = 1;
  int block = 256;
  int64_t shared_bytes = 0;  ///< dynamic shared memory; above 48 KB it is opted into
  cudaStream_t stream = nullptr;
  bool begins_early = false;  ///< may begin before the kernel before it has ended: see below
  int cluster = 1;            ///< blocks that run together, at most 8: of Hopper and later
};

/// In a kernel whose successor begins early: that may begin once all blocks have called this or
/// have ended. Does nothing before Hopper. Source: PTX ISA, griddepcontrol.
__device__ __forceinline__ void let_next_kernel_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
/// In a kernel that begins early: waits until the kernel before has ended, and what it has written
/// can be read.
__device__ __forceinline__ void await_previous_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

inline constexpr int64_t kMaxGridX = 2147483647;
inline constexpr int64_t kMaxGridYZ = 65535;

/// Type-erased part of launch(). Throws Error(kUnsupported) for a grid or shared memory beyond the
/// device's limits, Error(kDevice) where the launch fails.
void launch_kernel(const void* kernel, const LaunchConfig& config, void** arguments);

/// Launches `kernel(arguments...)`; the arguments convert to the kernel's parameter types.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchConfig& config, Arguments&&... arguments) {
  [&](Parameters... converted) {
    void* pointers[] = {static_cast<void*>(&converted)..., nullptr};
    launch_kernel(reinterpret_cast<const void*>(kernel), config, pointers);
  }(static_cast<Parameters>(arguments)...);
}

/// Blocks that cover `count` items with `per_block` each, capped for kernels with a grid stride.
inline int64_t grid_for(int64_t count, int64_t per_block, int64_t cap = int64_t{1} << 20) {
  const int64_t blocks = (count + per_block - 1) / per_block;
  return blocks < 1 ? 1 : (blocks > cap ? cap : blocks);
}

}  // namespace engine::cuda
