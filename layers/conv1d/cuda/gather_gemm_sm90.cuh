// Conv1d and ConvTranspose1d as an implicit matrix product on Hopper's tensor cores (wgmma) whose
// first operand threads gather from rows of x:
//   y[b, g M + m, q R + r] = f(bias + sum over c, u of W[(m, r), (c, u)] * x[b, g C + c,
//                                                       q stride + first + u spacing])
// x and y are NCL; W is packed at load time. GEMM as wgmma sees it: M = columns q, N = rows (m, r),
// K = (c, u); GemmPlan says how tiles and stages are cut. In this file: the ring of stages, the
// warps and what each does, the kernel and its launch.
//
// Threads: two warpgroups multiply, one loads. Its four warps bring windows of x by bulk copies, as
//   they lie in x whatever their alignment (gather_window_sm90.h); one would not start them fast
//   enough. A multiplying thread reads the words of its part of wgmma's first operand from the
//   window's rows, at any offset, stride and spacing, and rounds f32 to TF32
//   (gather_operand_sm90.h); weights are the second operand, K-major without swizzle. The same
//   threads store finished sums (gather_store_sm90.h).
// Shared memory: a ring of stages (window of x, and the weights of the stage where they are not
//   resident), all weights once where they fit, and two chunks of finished lines of y.
// Precision: fp16, bf16 or TF32 with f32 sums. With kParts = 2, f32 operands are split into two
//   TF32 parts and three products are summed; sums of a stage are added to the total in f32,
//   because tensor cores truncate when they add.
// Bytes: x once for each row tile of a group, with a halo for each column tile; y once; weights
//   once for each block where they are resident, else once for each tile, from the L2.
// Requires: sm_90a, zero padding, at most eight phases, no residual, activations that are bends;
//   two stages that fit (GemmPlan). Inf and NaN in x also reach outputs whose taps are filled up
//   with zeros beside them; with two parts, Inf becomes NaN.
// Limited by: with many channels and taps, weights and windows that come from the L2 to every tile,
//   else the tensor cores; in 16 bits the instructions that gather, two loads and a permutation for
//   a register. With few products, the stores of a tile, which begin when its products are done.
//   Measured shares of the roofline: docs/benchmarks.md.
#pragma once

#include "engine/cuda/hopper.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/gather_operand_sm90.h"
#include "layers/conv1d/cuda/gather_store_sm90.h"
#include "layers/conv1d/cuda/gather_window_sm90.h"
#include "layers/conv1d/cuda/gemm_block_sm90.h"
#include "layers/conv1d/cuda/implicit_gemm_launch.h"

namespace engine::cuda {

template <typename Element, int kRowCount, int kBlockCount, int kStepCount, int kPartCount>
struct GatherTile {
  using T = Element;
  static constexpr int kRows = kRowCount;
  static constexpr int kBlocks = kBlockCount;  // of 64 columns, of a warpgroup
  static constexpr int kSteps = kStepCount;    // that are gathered and multiplied at once
  static constexpr int kParts = kPartCount;
  static constexpr int kColumns = 2 * 64 * kBlocks;
  static constexpr int kMultipliers = 256;
  static constexpr int kLoaders = 4;  // warps
  static constexpr int kThreads = kMultipliers + 32 * kLoaders;
  static constexpr int kStagingBytes = 2 * LineChunk<T, kColumns>::kElements * sizeof(T);
  static constexpr int kLoaderRegisters = 56;
  static constexpr int kRegisters =
      (65536 - 32 * kLoaders * kLoaderRegisters) / kMultipliers / 8 * 8;
};

inline constexpr int kGatherMaxRing = 8;

struct GatherBarriers {
  Barrier full[kGatherMaxRing];
  Barrier empty[kGatherMaxRing];
  Barrier weights;
};
inline constexpr int kGatherBarrierBytes = 256;
static_assert(sizeof(GatherBarriers) <= kGatherBarrierBytes);

// A position in the ring: the slot, and how often the ring went round.
struct GatherRingPosition {
  int slot = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ void advance(int ring) {
    if (++slot < ring) return;
    slot = 0;
    parity ^= 1;
  }
};

__device__ __forceinline__ int gather_slot_bytes(const ImplicitGemm& p) {
  return p.window_bytes + (p.resident ? 0 : p.weight_bytes);
}

// Calls body(place) for every tile of the block.
template <typename Tile, typename Body>
__device__ __forceinline__ void for_each_gathered_tile(const ImplicitGemm& p, const Body& body) {
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
    body(place_of(p, tile, Tile::kRows));
  }
}

// Brings the stages of all tiles; this is warp `loader` of those that do.
template <typename Tile>
__device__ void load_gathered_stages(const ImplicitGemm& p, int loader, GatherBarriers& barriers,
                                     char* ring) {
  GatherRingPosition at;
  const int stages = p.channel_stages * p.tap_stages;
  for_each_gathered_tile<Tile>(p, [&](const GemmTilePlace& place) {
    for (int stage = 0; stage < stages; ++stage) {
      const int channel_stage = p.tap_stages == 1 ? stage : stage / p.tap_stages;
      const GatherWindow window(p, place, channel_stage, stage - channel_stage * p.tap_stages);
      char* slot = ring + at.slot * gather_slot_bytes(p);
      Barrier& full = barriers.full[at.slot];
      barriers.empty[at.slot].wait(at.parity ^ 1);
      if (!p.resident && loader == 0 && threadIdx.x % 32 == 0) {
        const int64_t first = (int64_t{place.weight_block} * stages + stage) * p.weight_bytes;
        full.expect(p.weight_bytes);
        bulk_copy(shared_address(slot) + p.window_bytes,
                  static_cast<const char*>(p.weights) + first, p.weight_bytes, full);
      }
      __syncwarp();
      start_window<typename Tile::T>(p, window, loader, Tile::kLoaders, slot, full);
      at.advance(p.ring);
    }
  });
}

// Waits for a stage's window and makes zeros of what it has beyond x.
template <typename Tile>
__device__ __forceinline__ void await_window(const ImplicitGemm& p, const GatherWindow& window,
                                             int channel, char* slot, Barrier& full,
                                             uint32_t parity) {
  full.wait(parity);
  if (is_whole(p, window, channel)) return;
  clear_outside<typename Tile::T>(p, window, channel, slot, threadIdx.x, Tile::kMultipliers);
  fence_proxy_async();
  named_barrier(1, Tile::kMultipliers);
}

// Adds one tile to `total`. `column` is the thread's first of the tile, `at` the place of its first
// stage.
template <typename Tile>
__device__ __forceinline__ void sum_gathered_tile(const ImplicitGemm& p, const GemmTilePlace& place,
                                                  GatherBarriers& barriers, const char* resident,
                                                  char* ring, int column, GatherRingPosition& at,
                                                  float (&total)[Tile::kBlocks][Tile::kRows / 2]) {
  const auto release = [&](int slot) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barriers.empty[slot].arrive();
  };
  int last_slot = 0;
  GatherWindow window(p, place, 0, 0);
  GatherColumns<Tile> in_window(p, window, column);
  for (int stage = 0; stage < p.channel_stages * p.tap_stages; ++stage) {
    if (p.tap_stages > 1 && stage > 0) {
      window = GatherWindow(p, place, 0, stage % p.tap_stages);
      in_window = GatherColumns<Tile>(p, window, column);
    }
    char* slot = ring + at.slot * gather_slot_bytes(p);
    const char* weights = p.resident ? resident + stage * p.weight_bytes : slot + p.window_bytes;
    GatherColumns<Tile> columns = in_window;
#pragma unroll
    for (int i = 0; i < 2 * Tile::kBlocks; ++i) {
      columns.bytes[i / 2][i % 2] += shared_address(slot);
    }
    const int channel = stage / p.tap_stages * p.stage_units * p.unit_channels;
    await_window<Tile>(p, window, channel, slot, barriers.full[at.slot], at.parity);
    const uint32_t weight_unit = uniform(shared_address(weights) / kUnitBytes);
    if constexpr (Tile::kParts == 1) {
      multiply_gathered<Tile>(p, columns, weight_unit, total, [&] {
        if (stage > 0) release(last_slot);
      });
    } else {
      float part[Tile::kBlocks][Tile::kRows / 2] = {};
      multiply_gathered<Tile>(p, columns, weight_unit, part, [] {});
      wgmma_wait<0>();
      release(at.slot);
#pragma unroll
      for (int i = 0; i < Tile::kBlocks * Tile::kRows / 2; ++i) {
        total[i / (Tile::kRows / 2)][i % (Tile::kRows / 2)] +=
            part[i / (Tile::kRows / 2)][i % (Tile::kRows / 2)];
      }
    }
    last_slot = at.slot;
    at.advance(p.ring);
  }
  if constexpr (Tile::kParts == 1) {
    wgmma_wait<0>();
    release(last_slot);
  }
}

// Computes all tiles of the block.
template <typename Tile>
__device__ void multiply_gathered_tiles(const ImplicitGemm& p, GatherBarriers& barriers,
                                        const char* resident, char* ring,
                                        typename Tile::T* staging) {
  const int warp = threadIdx.x / 32;
  const int column =
      warp / 4 * 64 * Tile::kBlocks + warp % 4 * 16 + static_cast<int>(threadIdx.x) % 32 / 4;
  GatherRingPosition at;
  int chunk = 0;
  for_each_gathered_tile<Tile>(p, [&](const GemmTilePlace& place) {
    float total[Tile::kBlocks][Tile::kRows / 2] = {};
    sum_gathered_tile<Tile>(p, place, barriers, resident, ring, column, at, total);
    if (p.phases == 1) {
      store_tile<Tile, false>(p, place, total, column, staging, chunk);
    } else {
      store_tile<Tile, true>(p, place, total, column, staging, chunk);
    }
  });
}

template <typename Tile>
__device__ __forceinline__ void init_gather_barriers(const ImplicitGemm& p,
                                                     GatherBarriers& barriers) {
  for (int i = 0; i < p.ring; ++i) {
    barriers.full[i].init(Tile::kLoaders);
    barriers.empty[i].init(Tile::kMultipliers / 32);
  }
  barriers.weights.init(1);
  fence_barrier_init();
}

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    gather_gemm_sm90_kernel(const __grid_constant__ ImplicitGemm p) {
#if ENGINE_SM90A_CODE  // the table only offers the kernel where its code is sm_90a's
  using T = typename Tile::T;
  char* shared = dynamic_shared();
  GatherBarriers& barriers = *reinterpret_cast<GatherBarriers*>(shared);
  T* staging = reinterpret_cast<T*>(shared + kGatherBarrierBytes);
  char* resident = shared + kGatherBarrierBytes + Tile::kStagingBytes;
  char* ring = resident + (p.resident ? p.channel_stages * p.tap_stages * p.weight_bytes : 0);
  if (threadIdx.x == 0) init_gather_barriers<Tile>(p, barriers);
  __syncthreads();
  if (threadIdx.x >= Tile::kMultipliers) {
    give_up_registers<Tile::kLoaderRegisters>();
    const int loader = uniform((threadIdx.x - Tile::kMultipliers) / 32);
    if (p.resident && threadIdx.x == Tile::kMultipliers) {
      load_resident_weights(p, barriers.weights, resident);
    }
    __syncwarp();
    load_gathered_stages<Tile>(p, loader, barriers, ring);
  } else {
    take_registers<Tile::kRegisters>();
    if (p.resident) barriers.weights.wait(0);
    multiply_gathered_tiles<Tile>(p, barriers, resident, ring, staging);
  }
#endif
}

template <typename Tile>
void launch_gather_sm90(const ImplicitGemm& gemm, int64_t shared_bytes, int64_t blocks,
                        CudaStream stream) {
  LaunchConfig config{"gather_gemm_sm90", blocks};
  config.block = Tile::kThreads;
  config.shared_bytes = kGatherBarrierBytes + Tile::kStagingBytes + shared_bytes;
  config.stream = stream;
  launch(gather_gemm_sm90_kernel<Tile>, config, gemm);
}

template <typename T, int kRows, int kBlocks, int kSteps, int kParts>
Sm90Kernel gather_kernel_sm90() {
  using Tile = GatherTile<T, kRows, kBlocks, kSteps, kParts>;
  constexpr int64_t kSharedBytes = 227 * 1024;  // of a block on Hopper
  Sm90Kernel kernel;
  kernel.tile.rows = Tile::kRows;
  kernel.tile.columns = kernel.tile.staged_columns = Tile::kColumns;
  kernel.tile.parts = kParts;
  kernel.tile.element_bytes = sizeof(T);
  kernel.tile.shared_bytes = kSharedBytes - kGatherBarrierBytes - Tile::kStagingBytes;
  kernel.tile.ring = kGatherMaxRing;
  kernel.tile.gathers = true;
  kernel.tile.gathered_steps = kSteps;
  kernel.launch = launch_gather_sm90<Tile>;
  return kernel;
}

}  // namespace engine::cuda
