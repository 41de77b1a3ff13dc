// Memory accesses and arithmetic that CUDA C++ has no words for. Those that a condition may leave
// out are single instructions: a branch would wait for each load before the next is issued.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "engine/cuda/shared_address.h"

namespace engine::cuda {

/// The block's dynamic shared memory, aligned to 1024 bytes.
__device__ __forceinline__ char* dynamic_shared() {
  extern __shared__ __align__(1024) char memory[];
  return memory;
}

/// *source, or 0 where `exists` is false.
__device__ __forceinline__ float load_or_zero(const float* source, bool exists) {
  float value;
  asm("{\n"
      ".reg .pred exists;\n"
      "setp.ne.b32 exists, %2, 0;\n"
      "mov.b32 %0, 0;\n"
      "@exists ld.global.nc.f32 %0, [%1];\n"
      "}\n"
      : "=f"(value)
      : "l"(source), "r"(static_cast<int>(exists)));
  return value;
}
__device__ __forceinline__ uint16_t load_or_zero(const uint16_t* source, bool exists) {
  uint16_t value;
  asm("{\n"
      ".reg .pred exists;\n"
      "setp.ne.b32 exists, %2, 0;\n"
      "mov.b16 %0, 0;\n"
      "@exists ld.global.nc.b16 %0, [%1];\n"
      "}\n"
      : "=h"(value)
      : "l"(source), "r"(static_cast<int>(exists)));
  return value;
}
/// The bits of *source in the low end of a word, or 0.
__device__ __forceinline__ uint32_t load_bits_or_zero(const uint32_t* source, bool exists) {
  uint32_t bits;
  asm("{\n"
      ".reg .pred exists;\n"
      "setp.ne.b32 exists, %2, 0;\n"
      "mov.b32 %0, 0;\n"
      "@exists ld.global.nc.u32 %0, [%1];\n"
      "}\n"
      : "=r"(bits)
      : "l"(source), "r"(static_cast<int>(exists)));
  return bits;
}
__device__ __forceinline__ uint32_t load_bits_or_zero(const uint16_t* source, bool exists) {
  uint32_t bits;
  asm("{\n"
      ".reg .pred exists;\n"
      "setp.ne.b32 exists, %2, 0;\n"
      "mov.b32 %0, 0;\n"
      "@exists ld.global.nc.u16 %0, [%1];\n"
      "}\n"
      : "=r"(bits)
      : "l"(source), "r"(static_cast<int>(exists)));
  return bits;
}
/// source[0] and source[1], the first at an even element, or zeros.
__device__ __forceinline__ float2 load_pair_or_zero(const float* source, bool exists) {
  float2 value;
  asm("{\n"
      ".reg .pred exists;\n"
      "setp.ne.b32 exists, %3, 0;\n"
      "mov.b32 %0, 0;\n"
      "mov.b32 %1, 0;\n"
      "@exists ld.global.nc.v2.f32 {%0, %1}, [%2];\n"
      "}\n"
      : "=f"(value.x), "=f"(value.y)
      : "l"(source), "r"(static_cast<int>(exists)));
  return value;
}
__device__ __forceinline__ ushort2 load_pair_or_zero(const uint16_t* source, bool exists) {
  ushort2 value;
  asm("{\n"
      ".reg .pred exists;\n"
      ".reg .b32 both;\n"
      "setp.ne.b32 exists, %3, 0;\n"
      "mov.b32 both, 0;\n"
      "@exists ld.global.nc.b32 both, [%2];\n"
      "mov.b32 {%0, %1}, both;\n"
      "}\n"
      : "=h"(value.x), "=h"(value.y)
      : "l"(source), "r"(static_cast<int>(exists)));
  return value;
}

/// Stores 16 aligned bytes to global memory.
__device__ __forceinline__ void store_16(void* target, uint4 bits) {
  __stcg(static_cast<uint4*>(target), bits);
}

/// Stores 16 aligned bytes to shared memory where `exists`.
__device__ __forceinline__ void store_shared_16_if(void* target, uint4 bits, bool exists) {
  asm volatile(
      "{\n"
      ".reg .pred exists;\n"
      "setp.ne.b32 exists, %5, 0;\n"
      "@exists st.shared.v4.b32 [%0], {%1, %2, %3, %4};\n"
      "}\n" ::"r"(shared_address(target)),
      "r"(bits.x), "r"(bits.y), "r"(bits.z), "r"(bits.w), "r"(static_cast<int>(exists))
      : "memory");
}

/// Makes a thread's stores to global memory visible to whoever sees what it does afterwards.
__device__ __forceinline__ void publish_stores() { __threadfence(); }

/// Counts at `arrivals` that published stores are there. The threads that stored must have met.
__device__ __forceinline__ void count_arrival(uint32_t* arrivals) {
  asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(arrivals) : "memory");
}

/// Waits until others have counted `count` arrivals.
__device__ __forceinline__ void await_arrivals(const uint32_t* arrivals, uint32_t count) {
  uint32_t there;
  do {
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(there) : "l"(arrivals) : "memory");
  } while (there < count);
}

/// Loads what another block has published.
__device__ __forceinline__ float load_published(const float* source) { return __ldcg(source); }

/// The larger of two values, NaN where one is.
__device__ __forceinline__ float max_or_nan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
}

}  // namespace engine::cuda
