// What Hopper adds to the machine, as functions: barriers in shared memory that count bytes, bulk
// copies, matrix products of a warpgroup. Source: PTX ISA, sections mbarrier, cp.async.bulk,
// cp.async.bulk.tensor, ldmatrix, stmatrix, wgmma.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "engine/cuda/shared_address.h"
#include "engine/cuda/tensor_map.h"
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
  /// Lets the phase wait for more bytes, which need not be under way yet.
  __device__ __forceinline__ void expect(uint32_t bytes) {
    asm volatile(
        "mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&word)),
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

/// The block's place in its cluster.
__device__ __forceinline__ int cluster_rank() {
  int rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
/// Waits for all threads of the cluster, whose initialised barriers can then be counted at.
__device__ __forceinline__ void cluster_barrier() {
  asm volatile(
      "barrier.cluster.arrive.release.aligned;\n"
      "barrier.cluster.wait.acquire.aligned;" ::
          : "memory");
}
/// Starts a store of four floats in the shared memory of block `rank` of the cluster, where they go
/// to `address`, a multiple of 16, and are counted at what is `barrier` there.
__device__ __forceinline__ void store_of_rank(int rank, uint32_t address, float4 four,
                                              Barrier& barrier) {
  asm volatile(
      "{\n"
      ".reg .b32 place, count;\n"
      "mapa.shared::cluster.u32 place, %4, %6;\n"
      "mapa.shared::cluster.u32 count, %5, %6;\n"
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32"
      " [place], {%0, %1, %2, %3}, [count];\n"
      "}\n" ::"f"(four.x),
      "f"(four.y), "f"(four.z), "f"(four.w), "r"(address), "r"(shared_address(&barrier.word)),
      "r"(rank)
      : "memory");
}

/// Waits for `threads` threads of the block (whole warps) that call this with the same `id`, from 1
/// to 15.
__device__ __forceinline__ void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
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

/// What the lanes of a warp copy, one after the other by one thread: the copy engine takes its
/// operands from registers that a warp shares.
struct BulkCopy {
  uint32_t shared;     ///< address
  uint32_t bytes;      ///< a multiple of 16; 0 for nothing
  const char* global;  ///< like the shared address a multiple of 16

  /// That of lane `lane`.
  __device__ __forceinline__ BulkCopy of(int lane) const {
    const auto address = reinterpret_cast<uintptr_t>(global);
    const uint64_t low = __shfl_sync(0xffffffffu, static_cast<uint32_t>(address), lane);
    const uint64_t high = __shfl_sync(0xffffffffu, static_cast<uint32_t>(address >> 32), lane);
    return {__shfl_sync(0xffffffffu, shared, lane), __shfl_sync(0xffffffffu, bytes, lane),
            reinterpret_cast<const char*>(high << 32 | low)};
  }
};

/// Starts the copies to shared memory of the first `lanes` lanes of a warp, which count at the
/// barrier.
__device__ __forceinline__ void bulk_copy_lanes(const BulkCopy& mine, int lanes, Barrier& barrier) {
#pragma unroll 4
  for (int lane = 0; lane < lanes; ++lane) {
    const BulkCopy copy = mine.of(lane);
    asm volatile(
        "{\n"
        ".reg .pred one, some;\n"
        "elect.sync _|one, 0xffffffff;\n"
        "setp.ne.and.u32 some, %2, 0, one;\n"
        "@some cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
        " [%0], [%1], %2, [%3];\n"
        "}\n" ::"r"(copy.shared),
        "l"(copy.global), "r"(copy.bytes), "r"(shared_address(&barrier.word))
        : "memory");
  }
}

/// Copies the boxes of `map` of which the first begins at element x of row y of matrix z, once for
/// a warp, and counts all bytes at the barrier. What a single box has outside of the tensor becomes
/// 0. x must lie at a multiple of 16 bytes, and swizzled boxes must go to a multiple of 1024.
__device__ __forceinline__ void tensor_copy(uint32_t target, const TensorMap& map, int x, int y,
                                            int z, Barrier& barrier) {
  asm volatile(
      "{\n"
      ".reg .pred one;\n"
      "elect.sync _|one, 0xffffffff;\n"
      "@one cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%2, %3, 0, %4}], [%5];\n"
      "}\n" ::"r"(target),
      "l"(&map), "r"(x), "r"(y), "r"(z), "r"(shared_address(&barrier.word))
      : "memory");
}

/// Copies `bytes` (a multiple of 16, both ends aligned to 16) from shared memory, once for a warp.
/// Belongs to the next group of stores of one of its threads.
__device__ __forceinline__ void bulk_store(void* target, uint32_t source, uint32_t bytes) {
  asm volatile(
      "{\n"
      ".reg .pred one;\n"
      "elect.sync _|one, 0xffffffff;\n"
      "@one cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;\n"
      "}\n" ::"l"(target),
      "r"(source), "r"(bytes)
      : "memory");
}
/// Closes a group of stores, and waits until shared memory has been read for all of them.
__device__ __forceinline__ void wait_for_stored_reads() {
  asm volatile(
      "cp.async.bulk.commit_group;\n"
      "cp.async.bulk.wait_group.read 0;" ::
          : "memory");
}

/// Gives the warpgroup's threads more registers, which others have given up by the second.
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void give_up_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

/// A word of shared memory. Not reordered with waiting.
__device__ __forceinline__ uint32_t load_shared(uint32_t address) {
  uint32_t word;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(word) : "r"(address));
  return word;
}

/// Four floats of shared memory, at a multiple of 16, likewise.
__device__ __forceinline__ float4 load_shared_four(uint32_t address) {
  float4 four;
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(four.x), "=f"(four.y), "=f"(four.z), "=f"(four.w)
               : "r"(address));
  return four;
}

/// 16 bits of shared memory, likewise.
__device__ __forceinline__ uint32_t load_shared_half(uint32_t address) {
  uint16_t half;
  asm volatile("ld.shared.u16 %0, [%1];" : "=h"(half) : "r"(address));
  return half;
}

/// Stores a word of shared memory, and the lower 16 bits of one.
__device__ __forceinline__ void store_shared(uint32_t address, uint32_t word) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(word) : "memory");
}
__device__ __forceinline__ void store_shared_half(uint32_t address, uint32_t half) {
  asm volatile("st.shared.b16 [%0], %1;" ::"r"(address), "h"(static_cast<uint16_t>(half))
               : "memory");
}

/// The same of f32. Not by way of words, which a compiler would then take wgmma's sums for, and
/// move them to and fro between products.
__device__ __forceinline__ void store_shared(uint32_t address, float value) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(address), "f"(value) : "memory");
}
/// 8 and 16 aligned bytes.
__device__ __forceinline__ void store_shared_8(uint32_t address, float2 pair) {
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(pair.x), "f"(pair.y)
               : "memory");
}
__device__ __forceinline__ void store_shared_16(uint32_t address, uint4 unit) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(unit.x), "r"(unit.y),
               "r"(unit.z), "r"(unit.w)
               : "memory");
}

/// Loads four matrices of 8 x 8 elements of 16 bits, transposed: lanes 8 i to 8 i + 7 give the
/// shared addresses, multiples of 16, of the columns of matrix i; lane 4 g + t gets in words[i]
/// elements 2 t and 2 t + 1 of row g. Not reordered with waiting.
__device__ __forceinline__ void load_transposed(uint32_t column, uint32_t (&words)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(column));
}

/// Stores four matrices of 8 x 8 elements of 16 bits, transposed: lane 4 g + t gives in words[i]
/// elements 2 t and 2 t + 1 of row g of matrix i, lanes 8 i to 8 i + 7 the shared addresses,
/// multiples of 16, where the columns of matrix i go.
__device__ __forceinline__ void store_transposed(uint32_t column, const uint32_t (&words)[4]) {
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(column),
      "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
      : "memory");
}

/// The same without transposing: the addresses are those of rows.
__device__ __forceinline__ void store_matrices(uint32_t row, const uint32_t (&words)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
               "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
               : "memory");
}

/// The unit of the block's shared memory that an address, a multiple of 16, is: of blocks of a
/// cluster its upper bits are the rank.
__device__ __forceinline__ uint32_t unit_of_block(uint32_t address) {
  return (address & 0x3ffff) / 16;
}

/// A wgmma operand in shared memory without swizzle, K-major: 16-byte units of 8 rows lie one after
/// the other, eights of rows follow each other without gap, and the unit next along K lies `k_step`
/// units further. `start_and_k_step` holds the place of the first unit and k_step << 16; places are
/// shared addresses in units, of what lies within the block.
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
  static_assert(kColumns == 64 || kColumns == 128 || kColumns == 192 || kColumns == 256);
  if constexpr (kColumns == 64) {
    ENGINE_WGMMA(64)
  } else if constexpr (kColumns == 128) {
    ENGINE_WGMMA(128)
  } else if constexpr (kColumns == 192) {
    ENGINE_WGMMA(192)
  } else {
    ENGINE_WGMMA(256)
  }
}

/// sum += a * b for a warpgroup, with a, which is 64 x 8 in TF32 and 64 x 16 of 16-bit types, in
/// registers: thread t of warp w gives for h, u < 2
///   a[2 u + h] = row 16 w + t / 4 + 8 h, column 4 u + t % 4,
/// of 16-bit types the pair of columns 8 u + 2 (t % 4) and the next, and holds of sum what it does
/// of wgmma()'s.
template <typename T, int kColumns>
__device__ __forceinline__ void wgmma_gathered(float (&sum)[kColumns / 2], const uint32_t (&a)[4],
                                               uint64_t b) {
  static_assert(kColumns == 64 || kColumns == 128 || kColumns == 256);
  if constexpr (kColumns == 64) {
    ENGINE_WGMMA_GATHERED(64)
  } else if constexpr (kColumns == 128) {
    ENGINE_WGMMA_GATHERED(128)
  } else {
    ENGINE_WGMMA_GATHERED(256)
  }
}

}  // namespace engine::cuda
