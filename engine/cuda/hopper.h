// What Hopper adds to the machine, as functions: barriers in shared memory that count bytes, bulk
// copies, matrix products of a warpgroup. Source: PTX ISA, sections mbarrier, cp.async.bulk, wgmma.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "engine/cuda/shared_address.h"
#include "engine/cuda/wgmma_operands.h"

/// Whether the pass of the compiler is one that may use these instructions.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define ENGINE_SM90A_CODE 1
#else
#define ENGINE_SM90A_CODE 0
#endif

namespace engine::cuda {

/// A barrier in shared memory. A phase ends when `arrivals` threads have arrived and all expected
/// bytes have come; waiters ask for the parity of the phase that they wait for.
struct Barrier {
  uint64_t word;

  __device__ __forceinline__ void init(int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&word)),
                 "r"(arrivals));
  }
  __device__ __forceinline__ void arrive() {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&word))
                 : "memory");
  }
  __device__ __forceinline__ void arrive_and_expect(uint32_t bytes) {
    asm volatile(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&word)),
        "r"(bytes)
        : "memory");
  }
  /// Whether wait() would return at once.
  __device__ __forceinline__ bool is_over(uint32_t parity) {
    uint32_t over;
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "mbarrier.test_wait.parity.shared::cta.b64 done, [%1], %2;\n"
        "selp.b32 %0, 1, 0, done;\n"
        "}\n"
        : "=r"(over)
        : "r"(shared_address(&word)), "r"(parity)
        : "memory");
    return over != 0;
  }
  __device__ __forceinline__ void wait(uint32_t parity) {
    constexpr uint32_t kSleepNanoseconds = 1000000;  // at most, before asking again
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1, %2;\n"
        "@done bra over;\n"
        "bra again;\n"
        "over:\n"
        "}\n" ::"r"(shared_address(&word)),
        "r"(parity), "r"(kSleepNanoseconds)
        : "memory");
  }
};

/// Makes initialised barriers visible to the copy engine.
__device__ __forceinline__ void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// Orders this thread's ordinary shared-memory stores before later reads by tensor cores.
__device__ __forceinline__ void fence_proxy_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Copies `bytes` (a multiple of 16, both ends aligned to 16) to shared memory and counts them at
/// the barrier.
__device__ __forceinline__ void bulk_copy(uint32_t target, const void* source, uint32_t bytes,
                                          Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(target),
      "l"(source), "r"(bytes), "r"(shared_address(&barrier.word))
      : "memory");
}

/// A wgmma operand in shared memory without swizzle, K-major: 16-byte units of 8 rows lie one after
/// the other, eights of rows follow each other without gap, and the unit next along K lies `k_step`
/// units further. `start_and_k_step` holds the place of the first unit and k_step << 16; places are
/// shared addresses in units.
__device__ __forceinline__ uint64_t wgmma_descriptor(uint32_t start_and_k_step) {
  constexpr uint64_t kEightRows = 8;
  return kEightRows << 32 | start_and_k_step;
}

__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most `kPending` committed groups are not done.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// sum = a * b + (keep ? sum : 0) for a warpgroup: a is 64 x K, b kColumns x K, both by descriptor.
/// float stands for TF32. Thread t of warp w holds of sum, for j < kColumns / 8 and h, e < 2,
///   sum[4 j + 2 h + e] = row 16 w + t / 4 + 8 h, column 8 j + 2 (t % 4) + e.
template <typename T, int kColumns>
__device__ __forceinline__ void wgmma(float (&sum)[kColumns / 2], uint64_t a, uint64_t b,
                                      int keep) {
  static_assert(kColumns == 128 || kColumns == 256);
  if constexpr (kColumns == 128) {
    ENGINE_WGMMA(128)
  } else {
    ENGINE_WGMMA(256)
  }
}

}  // namespace engine::cuda
