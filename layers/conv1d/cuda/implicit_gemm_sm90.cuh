// Conv1d and ConvTranspose1d as an implicit matrix product on Hopper's tensor cores (wgmma):
//   y[b, g M + m, q R + r] = f(bias + sum over c, u of W[(m, r), (c, u)] * x[b, g C + c,
//                                                       q stride + first + u spacing])
// x and y are NCL; W is packed at load time. GEMM: M = rows (m, r), N = columns q, K = (c, u);
// GemmPlan says how tiles and stages are cut. In this file: barriers and the ring, the loading
// warps (load_tiles), the multiplying warps (multiply_tiles), the kernel and its launch; how a
// window is loaded is in load_rows_sm90.h and load_window_sm90.h, how a tile is stored in
// store_finished.h and store_fragment.h.
//
// Threads: one warpgroup loads, the others multiply. Loaders bring x to units of 16 bytes of K per
//   input position, rounded to TF32 where that is the precision: by way of rows in shared memory,
//   where rows begin at 16-byte boundaries (load_rows_sm90.h); else by way of registers, coalesced
//   along the length, or for f32 by asynchronous copies of single elements (load_stage() says
//   when); one of them starts the bulk copies of weights. wgmma reads both operands from there,
//   K-major without swizzle: a unit array by row is a valid operand at every row, so one window
//   with its halo serves all taps, whatever stride and dilation are.
//   kWarpgroups warpgroups of 64 rows make a team that computes one tile. With two teams, one
//   multiplies while the other stores.
// Shared memory: a ring of stages (window of x, and the weights of the stage), or all weights once
//   and a ring of windows, where they fit; rows of x on their way to windows; and what warps stage
//   their stores in.
// Precision: TF32, f16, bf16 with f32 sums. With kParts = 2, f32 operands are split into two TF32
//   parts and three products are summed, the small ones first; sums of a stage are added to the
//   total in f32, because tensor cores truncate when they add.
// Bytes: x once for each row tile of a group, with a halo for each column tile; y once; weights
//   once for each block where they are resident, else once for each tile, from the L2.
// Requires: sm_90a; a stage of weights and window that fits shared memory twice (GemmPlan). Inf and
//   NaN in x also reach outputs whose taps are filled up with zeros beside them; with two parts,
//   Inf becomes NaN.
// Limited by: with few taps, loads on their way through shared memory and the stores' instructions,
//   which few warps have to get through; with many, the tensor cores.
//   Measured shares of the roofline: docs/benchmarks.md, and of its parts: docs/gpu-kernels.md.
#pragma once

#include <type_traits>

#include "engine/cuda/hopper.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/gemm_block_sm90.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/implicit_gemm_launch.h"
#include "layers/conv1d/cuda/load_rows_sm90.h"
#include "layers/conv1d/cuda/load_window_sm90.h"
#include "layers/conv1d/cuda/ring_position.h"
#include "layers/conv1d/cuda/store_fragment.h"

namespace engine::cuda {

template <typename Element, int kTeamCount, int kWarpgroupCount, int kColumnCount, int kPartCount,
          bool kPlainEpilogue>
struct Sm90Tile {
  using T = Element;
  static constexpr int kTeams = kTeamCount;
  static constexpr int kWarpgroups = kWarpgroupCount;  // of a team
  static constexpr int kColumns = kColumnCount;
  static constexpr int kParts = kPartCount;
  static constexpr bool kPlain = kPlainEpilogue;
  static constexpr int kRows = 64 * kWarpgroups;
  static constexpr int kConsumers = 128 * kTeams * kWarpgroups;
  static constexpr int kLoaders = 32 * kLoadingWarps;
  static constexpr int kThreads = kConsumers + kLoaders;
  static constexpr int kStagingBytes = kConsumers / 32 * cuda::kStagingBytes<kColumns>;
  // Memory checkers take an operand of wgmma for one contiguous stretch, and want its end to exist.
  static constexpr int kSpareBytes = kColumns * kUnitBytes;
  // Registers of a thread, and the words that a loading thread has in flight in them.
  static constexpr int kRegisters = 65536 / kThreads / 8 * 8;
  static constexpr bool kWideLoads = kRegisters >= 160;
  static constexpr int kWordsInFlight = kWideLoads ? 64 : 32;
};

inline constexpr int kSm90MaxRing = 8;

struct Sm90Barriers {
  Barrier full[kSm90MaxRing];
  Barrier empty[kSm90MaxRing];
  Barrier weights;
  Barrier rows[kLoadingWarps * kMaxRowBuffers];
  Barrier turn[2];  // of each team
};
inline constexpr int kSm90BarrierBytes = 512;
static_assert(sizeof(Sm90Barriers) <= kSm90BarrierBytes);

// Of the ring: a window, and the weights of its stage where they are not resident.
__device__ __forceinline__ int slot_bytes(const ImplicitGemm& p) {
  return p.window_bytes + (p.resident ? 0 : p.weight_bytes);
}

// Copies a stage's weights behind its window, or nothing where weights are resident.
__device__ __forceinline__ void start_weights(const ImplicitGemm& p, int64_t first_byte, char* slot,
                                              Barrier& full) {
  if (p.resident || threadIdx.x % 32 != 0) return;
  full.expect(p.weight_bytes);
  bulk_copy(shared_address(slot) + p.window_bytes, static_cast<const char*>(p.weights) + first_byte,
            p.weight_bytes, full);
}

// Tells the multiplying warps that a lane's part of its warp's stage is there.
__device__ __forceinline__ void hand_over(Barrier& full) {
  fence_proxy_async();
  full.arrive();
}

// A stage whose copies are under way.
struct StartedStage {
  uint4* window = nullptr;  // null for none
  Barrier* full = nullptr;

  // Waits for the copies, but not for the `kPending` groups that were started later.
  template <typename Tile, int kPending>
  __device__ __forceinline__ void finish(const ImplicitGemm& p) {
    if (window == nullptr) return;
    wait_for_copy_groups<kPending>();
    __syncwarp();
    round_window<Tile>(p, window);
    hand_over(*full);
    window = nullptr;
  }
};

// 16-bit values travel as bits.
template <typename Tile>
using RawElement = std::conditional_t<sizeof(typename Tile::T) == 4, float, uint16_t>;

// The stages that a loading warp brings, one after the other.
template <typename Tile>
struct StageCursor {
  using Raw = RawElement<Tile>;

  int64_t tile = blockIdx.x;
  int stage;
  GemmTilePlace place;
  RingPosition at;

  __device__ __forceinline__ StageCursor(const ImplicitGemm& p, int first) : stage(first) {
    at.advance_by(first, p.ring);
    find_tile(p);
  }
  __device__ __forceinline__ bool exists(const ImplicitGemm& p) const { return tile < p.tiles; }
  __device__ __forceinline__ void advance(const ImplicitGemm& p, int by) {
    at.advance_by(by, p.ring);
    stage += by;
    if (stage >= p.channel_stages * p.tap_stages) find_tile(p);
  }
  __device__ __forceinline__ Window<Raw> window(const ImplicitGemm& p) const {
    const int channel_stage = p.tap_stages == 1 ? stage : stage / p.tap_stages;
    const int channel = channel_stage * p.stage_units * p.unit_channels;
    const int tap_stage = stage - channel_stage * p.tap_stages;
    const Raw* x =
        static_cast<const Raw*>(p.x) +
        (place.sample * p.in_channels + place.group * p.channels + channel) * p.in_length;
    return {x, place.column * p.stride + p.first + tap_stage * p.stage_shift, p.channels - channel};
  }
  __device__ __forceinline__ int64_t first_weight(const ImplicitGemm& p) const {
    const int stages = p.channel_stages * p.tap_stages;
    return (int64_t{place.weight_block} * stages + stage) * p.weight_bytes;
  }

 private:
  __device__ __forceinline__ void find_tile(const ImplicitGemm& p) {
    const int stages = p.channel_stages * p.tap_stages;
    for (; stage >= stages; stage -= stages) tile += gridDim.x;
    place = place_of(p, tile, Tile::kRows);
  }
};

// Every warp loads stages of its own, so that several stages are under way at once, of f32 two of
// each warp where slots are free.
template <typename Tile>
__device__ void load_tiles(const ImplicitGemm& p, Sm90Barriers& barriers, char* ring) {
  const int warps = min(kLoadingWarps, p.ring);
  const int warp = (threadIdx.x - Tile::kConsumers) / 32;
  if (warp >= warps) return;
  StartedStage last;
  for (StageCursor<Tile> now(p, warp); now.exists(p); now.advance(p, warps)) {
    Barrier& empty = barriers.empty[now.at.slot];
    if (!__all_sync(0xffffffffu, empty.is_over(now.at.parity ^ 1))) {
      last.finish<Tile, 0>(p);
      empty.wait(now.at.parity ^ 1);
    }
    char* slot = ring + now.at.slot * slot_bytes(p);
    Barrier& full = barriers.full[now.at.slot];
    start_weights(p, now.first_weight(p), slot, full);
    auto* target = reinterpret_cast<uint4*>(slot);
    if (load_stage<Tile>(p, now.window(p), target)) {
      last.finish<Tile, 1>(p);
      last = {target, &full};
    } else {
      last.finish<Tile, 0>(p);
      hand_over(full);
    }
  }
  last.finish<Tile, 0>(p);
}

// The same as load_tiles() by way of rows. A warp's next copies are under way while it turns rows
// to units.
template <typename Tile>
__device__ void load_tiles_by_rows(const ImplicitGemm& p, Sm90Barriers& barriers, char* ring,
                                   char* rows) {
  const int warps = min(kLoadingWarps, p.ring);
  const int warp = (threadIdx.x - Tile::kConsumers) / 32;
  if (warp >= warps) return;
  const auto buffer_at = [&](int i) {
    const int index = warp * p.row_buffers + i;
    return RowBuffer{reinterpret_cast<uint4*>(rows + index * p.row_bytes), &barriers.rows[index]};
  };
  StageCursor<Tile> now(p, warp);
  StageCursor<Tile> ahead = now;
  const auto start = [&](int i) {
    if (!ahead.exists(p)) return;
    start_rows(p, ahead.window(p), buffer_at(i));
    ahead.advance(p, warps);
  };
  for (int i = 0; i < p.row_buffers; ++i) start(i);
  int i = 0;
  for (uint32_t parity = 0; now.exists(p); now.advance(p, warps)) {
    char* slot = ring + now.at.slot * slot_bytes(p);
    Barrier& full = barriers.full[now.at.slot];
    const RowBuffer buffer = buffer_at(i);
    barriers.empty[now.at.slot].wait(now.at.parity ^ 1);
    start_weights(p, now.first_weight(p), slot, full);
    buffer.full->wait(parity);
    write_units<Tile, RawElement<Tile>>(p, buffer.units, reinterpret_cast<uint4*>(slot));
    hand_over(full);
    start(i);
    if (++i == p.row_buffers) {
      i = 0;
      parity ^= 1;
    }
  }
}

// The operands of a stage's products, one product after the other: of split operands three passes
// over the stage's steps, the small products first.
template <typename Tile>
struct StageOperands {
  static constexpr int kPasses = Tile::kParts == 2 ? 3 : 1;
  static constexpr uint32_t kStepUnits = 2 * Tile::kRows;

  uint32_t weights;  // of step 0, with their k_step
  uint32_t window;
  int step = 0;
  int pass = 0;

  __device__ __forceinline__ uint64_t a(const ImplicitGemm& p) const {
    const int part = kPasses == 3 && pass == 0 ? p.steps : 0;
    return wgmma_descriptor(weights + (part + step) * kStepUnits);
  }
  __device__ __forceinline__ uint64_t b(const ImplicitGemm& p) const {
    const uint32_t part = pass == 1 ? p.stage_units * p.unit_pitch : 0;
    return wgmma_descriptor(window + part + p.step[step]);
  }
  __device__ __forceinline__ void advance(const ImplicitGemm& p) {
    if (++step < p.steps || kPasses == 1) return;
    step = 0;
    ++pass;
  }
};

// Starts `left` products in groups of kCount, and the rest in smaller ones. A group has no branch
// between its products: the compiler would make groups of its own, and wait for all of them where
// one is waited for. Calls `when_last_is_done` when what was started before is done.
template <typename Tile, int kCount, typename WhenLastIsDone>
__device__ __forceinline__ void start_products(const ImplicitGemm& p, StageOperands<Tile>& operands,
                                               int left, bool keep, bool first,
                                               float (&sum)[Tile::kColumns / 2],
                                               const WhenLastIsDone& when_last_is_done) {
#pragma unroll 1
  for (; left >= kCount; left -= kCount, keep = true, first = false) {
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      wgmma<typename Tile::T, Tile::kColumns>(sum, operands.a(p), operands.b(p), keep || i > 0);
      operands.advance(p);
    }
    wgmma_commit();
    wgmma_wait<1>();
    if (first) when_last_is_done();
  }
  if constexpr (kCount > 1) {
    start_products<Tile, kCount / 2>(p, operands, left, keep, first, sum, when_last_is_done);
  }
}

// Starts the products of one stage. `weights` and `window` are shared addresses in units. Calls
// when_last_is_done() when those of the stage before are done.
template <typename Tile, typename WhenLastIsDone>
__device__ __forceinline__ void multiply_stage(const ImplicitGemm& p, uint32_t weights,
                                               uint32_t window, bool keep,
                                               float (&sum)[Tile::kColumns / 2],
                                               const WhenLastIsDone& when_last_is_done) {
  constexpr int kGroup = 8;
  constexpr uint32_t kWeightStep = Tile::kRows << 16;
  const int warpgroup = threadIdx.x / 128 % Tile::kWarpgroups;
  StageOperands<Tile> operands{uniform(weights + warpgroup * 64 + kWeightStep), uniform(window)};
  start_products<Tile, kGroup>(p, operands, StageOperands<Tile>::kPasses * p.steps, keep, true, sum,
                               when_last_is_done);
}

template <typename Tile>
__device__ __forceinline__ void store_tile(const ImplicitGemm& p, int64_t tile,
                                           float (&sum)[Tile::kColumns / 2], char* staging) {
  const GemmTilePlace at = place_of(p, tile, Tile::kRows);
  const int warp = threadIdx.x / 32;
  const FragmentPlace place{at.sample,
                            at.column,
                            at.group * p.group_outputs,
                            at.row + warp % (4 * Tile::kWarpgroups) * 16,
                            at.first_of_sample,
                            at.last_of_sample};
  if (place.row >= p.group_rows) return;
  store_fragment<Tile::kColumns, typename Tile::T, Tile::kPlain>(
      p, place, sum, staging + warp * cuda::kStagingBytes<Tile::kColumns>);
}

template <typename Tile>
__device__ void multiply_tiles(const ImplicitGemm& p, Sm90Barriers& barriers, char* resident,
                               char* ring, char* staging) {
  const int team = threadIdx.x / (128 * Tile::kWarpgroups);
  const int stages = p.channel_stages * p.tap_stages;
  const bool leader = threadIdx.x % 32 == 0;
  if (p.resident) barriers.weights.wait(0);
  RingPosition at;
  at.advance_by(team * stages, p.ring);
  uint32_t turn_parity = team == 0 ? 1 : 0;
  for (int64_t tile = blockIdx.x + int64_t{team} * gridDim.x; tile < p.tiles;
       tile += int64_t{Tile::kTeams} * gridDim.x) {
    float sum[Tile::kColumns / 2];
    [[maybe_unused]] float total[Tile::kParts == 2 ? Tile::kColumns / 2 : 1];
    int last_slot = 0;
    // Teams take turns: a wait for a stage must not begin a round of the ring too early.
    if constexpr (Tile::kTeams > 1) barriers.turn[team].wait(turn_parity);
    turn_parity ^= 1;
    for (int stage = 0; stage < stages; ++stage) {
      barriers.full[at.slot].wait(at.parity);
      const uint32_t window = shared_address(ring + at.slot * slot_bytes(p)) / kUnitBytes;
      const uint32_t weights =
          p.resident ? (shared_address(resident) + static_cast<uint32_t>(stage) * p.weight_bytes) /
                           kUnitBytes
                     : window + p.window_bytes / kUnitBytes;
      if constexpr (Tile::kParts == 2) {
        multiply_stage<Tile>(p, weights, window, false, sum, [] {});
        wgmma_wait<0>();
        if (leader) barriers.empty[at.slot].arrive();
#pragma unroll
        for (int i = 0; i < Tile::kColumns / 2; ++i) {
          total[i] = stage == 0 ? sum[i] : total[i] + sum[i];
        }
      } else {
        multiply_stage<Tile>(p, weights, window, stage > 0, sum, [&] {
          if (stage > 0 && leader) barriers.empty[last_slot].arrive();
        });
        last_slot = at.slot;
      }
      at.advance(p.ring);
    }
    if (Tile::kTeams > 1 && leader) barriers.turn[1 - team].arrive();
    if constexpr (Tile::kParts == 2) {
      store_tile<Tile>(p, tile, total, staging);
    } else {
      wgmma_wait<0>();
      if (leader) barriers.empty[last_slot].arrive();
      store_tile<Tile>(p, tile, sum, staging);
    }
    at.advance_by((Tile::kTeams - 1) * stages, p.ring);
  }
}

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    implicit_gemm_sm90_kernel(const __grid_constant__ ImplicitGemm p) {
#if ENGINE_SM90A_CODE  // the table only offers the kernel where its code is sm_90a's
  char* shared = dynamic_shared();
  Sm90Barriers& barriers = *reinterpret_cast<Sm90Barriers*>(shared);
  char* staging = shared + kSm90BarrierBytes;
  char* resident = shared + kSm90BarrierBytes + Tile::kStagingBytes;
  char* ring = resident + (p.resident ? p.channel_stages * p.tap_stages * p.weight_bytes : 0);
  if (threadIdx.x == 0) {
    for (int i = 0; i < p.ring; ++i) {
      barriers.full[i].init(32);  // a loading warp
      barriers.empty[i].init(4 * Tile::kWarpgroups);
    }
    barriers.weights.init(1);
    for (Barrier& rows : barriers.rows) rows.init(1);
    for (Barrier& turn : barriers.turn) turn.init(4 * Tile::kWarpgroups);
    fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x >= Tile::kConsumers) {
    if (p.resident && threadIdx.x == Tile::kConsumers) {
      load_resident_weights(p, p.channel_stages * p.tap_stages, barriers.weights, resident);
    }
    if (p.by_rows) {
      load_tiles_by_rows<Tile>(p, barriers, ring, ring + p.ring * slot_bytes(p));
    } else {
      load_tiles<Tile>(p, barriers, ring);
    }
  } else {
    multiply_tiles<Tile>(p, barriers, resident, ring, staging);
  }
#endif
}

template <typename Tile>
void launch_sm90(const ImplicitGemm& gemm, int64_t shared_bytes, int64_t blocks,
                 CudaStream stream) {
  LaunchConfig config{"implicit_gemm_sm90", blocks};
  config.block = Tile::kThreads;
  config.shared_bytes = kSm90BarrierBytes + Tile::kStagingBytes + shared_bytes + Tile::kSpareBytes;
  config.stream = stream;
  launch(implicit_gemm_sm90_kernel<Tile>, config, gemm);
}

/// Shared memory of a block on Hopper.
inline constexpr int64_t kSm90SharedBytes = 227 * 1024;

template <typename T, int kTeams, int kWarpgroups, int kColumns, int kParts, bool kPlain>
Sm90Kernel sm90_kernel() {
  using Tile = Sm90Tile<T, kTeams, kWarpgroups, kColumns, kParts, kPlain>;
  Sm90Kernel kernel;
  kernel.tile = {Tile::kRows, kColumns, kStagedColumns<kColumns>, kParts,
                 kSm90SharedBytes - kSm90BarrierBytes - Tile::kStagingBytes - Tile::kSpareBytes};
  kernel.tile.wide_loads = Tile::kWideLoads;
  kernel.tile.by_rows = true;
  kernel.teams = kTeams;
  kernel.plain = kPlain;
  kernel.launch = launch_sm90<Tile>;
  return kernel;
}

}  // namespace engine::cuda
