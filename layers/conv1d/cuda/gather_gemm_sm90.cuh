// Conv1d and ConvTranspose1d as an implicit matrix product on Hopper's tensor cores (wgmma) whose
// first operand threads gather from rows of x:
//   y[b, g M + m, q R + r] = f(bias + sum over c, u of W[(m, r), (c, u)] * x[b, g C + c,
//                                                       q stride + first + u spacing])
// x and y are NCL; W is packed at load time. GEMM as wgmma sees it: M = columns q, N = rows (m, r),
// K = (c, u); GemmPlan says how tiles and stages are cut. In this file: the ring of stages, the
// warps and what each does, the kernel and its launch.
//
// Threads: two or three warpgroups multiply, one loads, one stores. The loading warps bring windows
//   of x by bulk copies, as they lie in x whatever their alignment, and make zeros of what lies
//   beyond its rows (gather_window_sm90.h); one would not start the copies fast enough. A
//   multiplying thread reads the words of its part of wgmma's first operand from the window's rows,
//   at any offset, stride and spacing, and rounds f32 to TF32 (gather_operand_sm90.h); weights are
//   the second operand, K-major without swizzle. Finished sums go to the storing warps by way of
//   shared memory (gather_store_sm90.h). A block computes parcels: tiles, and of the last round
//   perhaps pieces of them along the reduction (gemm_deal.h), of which the last adds up what the
//   others leave in global memory.
// Shared memory: all weights once where they fit; a ring of stages (window of x, and the weights of
//   the stage where they are not resident); a ring of chunks of finished lines.
// Precision: fp16, bf16 or TF32 with f32 sums. With kParts = 2, f32 operands are split into two
//   TF32 parts and three products are summed; sums of a stage are added to the total in f32,
//   because tensor cores truncate when they add.
// Bytes: x once for each row tile of a group, with a halo for each column tile; y once; weights
//   once for each block where they are resident, else once for each tile, from the L2; sums of
//   pieces twice.
// Requires: sm_90a, zero padding, at most eight phases, no residual, activations that are bends;
//   two stages that fit (GemmPlan). Inf and NaN in x also reach outputs whose taps are filled up
//   with zeros beside them; with two parts, Inf becomes NaN.
// Limited by: with many channels and taps, weights and windows that come from the L2 to every tile,
//   else the tensor cores. With few products, the hand-over of sums, during which the tensor cores
//   rest, and stores of the last tile that hinder the reads of this one.
//   Measured shares of the roofline: docs/benchmarks.md.
#pragma once

#include <algorithm>

#include "engine/cuda/hopper.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/gather_operand_sm90.h"
#include "layers/conv1d/cuda/ring_position.h"
#include "layers/conv1d/cuda/gather_store_sm90.h"
#include "layers/conv1d/cuda/gather_window_sm90.h"
#include "layers/conv1d/cuda/gemm_block_sm90.h"
#include "layers/conv1d/cuda/implicit_gemm_launch.h"

namespace engine::cuda {

template <typename Element, int kRowCount, int kGroupCount, int kBlockCount, int kStepCount,
          int kPartCount>
struct GatherTile {
  using T = Element;
  static constexpr int kRows = kRowCount;
  static constexpr int kGroups = kGroupCount;  // of four warps that multiply
  static constexpr int kBlocks = kBlockCount;  // of 64 columns, of a warpgroup
  static constexpr int kSteps = kStepCount;    // that are gathered and multiplied at once
  static constexpr int kParts = kPartCount;
  static constexpr int kColumns = kGroups * 64 * kBlocks;
  static constexpr int kMultipliers = kGroups * 128;  // threads
  static constexpr int kLoaders = 4;                  // warps
  static constexpr int kStorers = 4;                  // warps
  static constexpr int kThreads = kMultipliers + 32 * (kLoaders + kStorers);
  static constexpr int kOtherRegisters = 48;  // of a thread that does not multiply
  // Threads take from what the block was launched with.
  static constexpr int kBlockRegisters = 65536 / kThreads / 8 * 8 * kThreads;
  static constexpr int kRegisters =
      (kBlockRegisters - 32 * (kLoaders + kStorers) * kOtherRegisters) / kMultipliers / 8 * 8;
};

inline constexpr int kGatherMaxRing = 8;
inline constexpr int kGatherMaxRows = 256;

// What the warps of a block share, beside the chunks, weights and stages behind it.
struct GatherShared {
  Barrier full[kGatherMaxRing];
  Barrier empty[kGatherMaxRing];
  ChunkBarriers chunks;
  Barrier weights;
  alignas(16) float bias[kGatherMaxRows];  // of the tile
};
inline constexpr int kGatherSharedBytes = 1536;
static_assert(sizeof(GatherShared) <= kGatherSharedBytes);

__device__ __forceinline__ int gather_slot_bytes(const ImplicitGemm& p) {
  return p.window_bytes + (p.resident ? 0 : p.weight_bytes);
}

// What a block computes at once: a tile, or a piece of it along the reduction.
struct GatherParcel {
  GemmTilePlace place;  // the tile's
  int first_stage = 0;
  int end_stage;
  int piece = 0;  // of `pieces`
  int pieces = 1;
  int cut_tile = 0;  // of those that are cut

  __device__ __forceinline__ GatherParcel(const ImplicitGemm& p, int64_t parcel, int rows)
      : end_stage(p.channel_stages * p.tap_stages) {
    if (parcel >= p.whole_tiles) {
      const int behind = static_cast<int>(parcel - p.whole_tiles);
      pieces = p.by_pieces.divisor;
      cut_tile = p.by_pieces.quotient(behind);
      piece = behind - cut_tile * pieces;
      parcel = p.whole_tiles + cut_tile;
      first_stage = piece * p.piece_stages;
      end_stage = min(end_stage, first_stage + p.piece_stages);
    }
    place = place_of(p, parcel, rows);
  }
  // Whether the block finishes the tile. The last piece does: blocks begin in order, so that it
  // never waits for one that cannot begin.
  __device__ __forceinline__ bool is_last() const { return piece == pieces - 1; }
};

// Calls body(parcel) for everything that the block computes.
template <typename Tile, typename Body>
__device__ __forceinline__ void for_each_parcel(const ImplicitGemm& p, const Body& body) {
  for (int64_t parcel = blockIdx.x; parcel < p.parcels; parcel += gridDim.x) {
    body(GatherParcel(p, parcel, Tile::kRows));
  }
}

// Loading warps bring each stage together, or take turns in pairs where stages differ in their
// taps: what a warp finds out about such a stage takes longer than short products. No more than
// two teams: each meets a slot of the ring, which may have two, in every round.
__device__ __forceinline__ int loading_teams(const ImplicitGemm& p) {
  return p.tap_stages > 1 ? 2 : 1;
}

// Waits for a slot of the ring. If the warp is the first of those that bring stage `stage` of a
// tile, starts the copy of the stage's weights where they are not resident.
__device__ __forceinline__ void await_slot(const ImplicitGemm& p, const GemmTilePlace& place,
                                           int stage, bool is_first, GatherShared& shared,
                                           char* slot, const RingPosition& at) {
  shared.empty[at.slot].wait(at.parity ^ 1);
  if (!p.resident && is_first && threadIdx.x % 32 == 0) {
    const int64_t index = int64_t{place.weight_block} * p.channel_stages * p.tap_stages + stage;
    shared.full[at.slot].expect(p.weight_bytes);
    bulk_copy(shared_address(slot) + p.window_bytes,
              static_cast<const char*>(p.weights) + index * p.weight_bytes, p.weight_bytes,
              shared.full[at.slot]);
  }
  __syncwarp();
}

// Brings the stages of one parcel from `stage` on, which is at `at`; this is warp `loader` of those
// that do.
template <typename Tile>
__device__ __forceinline__ void load_stages(const ImplicitGemm& p, const GatherParcel& parcel,
                                            int stage, int loader, GatherShared& shared, char* ring,
                                            RingPosition& at, int& turn) {
  const int teams = loading_teams(p);
  const GemmTilePlace& place = parcel.place;
  for (; stage < parcel.end_stage; ++stage, at.advance(p.ring)) {
    const bool is_mine = turn == loader % teams;
    turn = teams - 1 - turn;
    if (!is_mine) continue;
    const int channel_stage = p.tap_stages == 1 ? stage : stage / p.tap_stages;
    const GatherWindow window(p, place, Tile::kColumns, channel_stage,
                              stage - channel_stage * p.tap_stages);
    char* slot = ring + at.slot * gather_slot_bytes(p);
    await_slot(p, place, stage, loader < teams, shared, slot, at);
    const LoaderRows rows(p, window, loader / teams, Tile::kLoaders / teams);
    clear_absent_rows(p, window, loader / teams, Tile::kLoaders / teams, slot);
    start_window<typename Tile::T>(p, window, rows, slot, shared.full[at.slot]);
  }
}

// Brings those whose copies are alike. Returns the first that it leaves.
template <typename Tile>
__device__ __forceinline__ int load_repeated_stages(const ImplicitGemm& p,
                                                    const GatherParcel& parcel, int loader,
                                                    GatherShared& shared, char* ring,
                                                    RingPosition& at) {
  const GatherWindow window(p, parcel.place, Tile::kColumns, 0, 0);
  const LoaderRows rows(p, window, loader, Tile::kLoaders);
  const RepeatedCopies<typename Tile::T> copies(p, window, rows);
  int stage = parcel.first_stage;
  for (; stage < min(copies.stages, parcel.end_stage); ++stage, at.advance(p.ring)) {
    char* slot = ring + at.slot * gather_slot_bytes(p);
    await_slot(p, parcel.place, stage, loader == 0, shared, slot, at);
    copies.start(stage, slot, shared.full[at.slot]);
  }
  return stage;
}

// Brings the stages of everything that the block computes.
template <typename Tile>
__device__ void load_gathered_tiles(const ImplicitGemm& p, int loader, GatherShared& shared,
                                    char* ring) {
  RingPosition at;
  int turn = 0;
  for_each_parcel<Tile>(p, [&](const GatherParcel& parcel) {
    int stage = parcel.first_stage;
    if (p.tap_stages == 1) {
      stage = load_repeated_stages<Tile>(p, parcel, loader, shared, ring, at);
    }
    load_stages<Tile>(p, parcel, stage, loader, shared, ring, at, turn);
  });
}

// Waits for all multiplying threads.
template <typename Tile>
__device__ __forceinline__ void sync_multipliers() {
  named_barrier(1, Tile::kMultipliers);
}

// Where a multiplying thread finds its columns in the window of a stage, but for its slot. Products
// wait for what it asks for between two of them, so it asks for little.
template <typename Tile>
struct GatheredStages {
  GatherColumns<Tile> columns;
  int tap_stage = 0;

  __device__ __forceinline__ GatheredStages(const ImplicitGemm& p, const GemmTilePlace& place,
                                            int column)
      : columns(p, GatherWindow(p, place, Tile::kColumns, 0, 0), column) {}
  __device__ __forceinline__ void advance(const ImplicitGemm& p, const GemmTilePlace& place,
                                          int column) {
    if (p.tap_stages == 1) return;
    if (++tap_stage == p.tap_stages) tap_stage = 0;
    columns = GatherColumns<Tile>(p, GatherWindow(p, place, Tile::kColumns, 0, tap_stage), column);
  }
};

// Where a multiplying thread finds the operands of one stage.
template <typename Tile>
struct GatheredOperands {
  int slot;
  GatherColumns<Tile> columns;  // at shared addresses
  uint32_t weights;             // the first step's, in units

  // Waits for those of stage `stage`, which is at `at`.
  __device__ __forceinline__ GatheredOperands(const ImplicitGemm& p, GatherShared& shared,
                                              const char* resident, char* ring,
                                              const GatheredStages<Tile>& stages, int stage,
                                              const RingPosition& at)
      : slot(at.slot), columns(stages.columns) {
    char* window = ring + slot * gather_slot_bytes(p);
#pragma unroll
    for (int i = 0; i < 2 * Tile::kBlocks; ++i) {
      columns.bytes[i / 2][i % 2] += shared_address(window);
    }
    const char* first = p.resident ? resident + stage * p.weight_bytes : window + p.window_bytes;
    weights = uniform(shared_address(first) / kUnitBytes);
    shared.full[slot].wait(at.parity);
  }
};

// Adds one parcel to `total`. `column` is the thread's first of the tile, `at` the place of the
// parcel's first stage.
template <typename Tile>
__device__ __forceinline__ void sum_parcel(const ImplicitGemm& p, const GatherParcel& parcel,
                                           GatherShared& shared, const char* resident, char* ring,
                                           int column, RingPosition& at,
                                           float (&total)[Tile::kBlocks][Tile::kRows / 2]) {
  GatheredStages<Tile> stages(p, parcel.place, column);
  GatheredOperands<Tile> operands(p, shared, resident, ring, stages, parcel.first_stage, at);
  int last_slot = 0;
  for (int stage = parcel.first_stage; stage < parcel.end_stage; ++stage) {
    const GatheredOperands<Tile> current = operands;
    const auto prepare_next = [&] {
      at.advance(p.ring);
      if (stage + 1 == parcel.end_stage) return;
      stages.advance(p, parcel.place, column);
      operands = GatheredOperands<Tile>(p, shared, resident, ring, stages, stage + 1, at);
    };
    if constexpr (Tile::kParts == 1) {
      multiply_gathered<Tile>(
          p, current.columns, current.weights, total,
          [&] {
            if (stage > parcel.first_stage) shared.empty[last_slot].arrive();
          },
          prepare_next);
      last_slot = current.slot;
    } else {
      float part[Tile::kBlocks][Tile::kRows / 2] = {};
      multiply_gathered<Tile>(
          p, current.columns, current.weights, part, [] {}, [] {});
      prepare_next();
      wgmma_wait<0>();
      shared.empty[current.slot].arrive();
#pragma unroll
      for (int i = 0; i < Tile::kBlocks * Tile::kRows / 2; ++i) {
        total[i / (Tile::kRows / 2)][i % (Tile::kRows / 2)] +=
            part[i / (Tile::kRows / 2)][i % (Tile::kRows / 2)];
      }
    }
  }
  if constexpr (Tile::kParts == 1) {
    wgmma_wait<0>();
    shared.empty[last_slot].arrive();
  }
}

// Puts the bias of a tile's rows where all multiplying threads read it.
template <typename Tile>
__device__ __forceinline__ void share_bias(const ImplicitGemm& p, const GemmTilePlace& place,
                                           float* bias) {
  sync_multipliers<Tile>();
  const int row = threadIdx.x;
  if (row < Tile::kRows) bias[row] = bias_of_row(p, place, row);
  sync_multipliers<Tile>();
}

// Adds the bias to a thread's sums of a tile, and applies the activation.
template <typename Tile>
__device__ __forceinline__ void finish_sums(const ImplicitGemm& p, const float* bias,
                                            float (&total)[Tile::kBlocks][Tile::kRows / 2]) {
  if (p.epilogue.bias != nullptr) add_bias<Tile>(bias, total);
  if (p.epilogue.activation.kind == Activation::Kind::kIdentity) return;
  const Bend bend(p.epilogue.activation);
#pragma unroll
  for (int b = 0; b < Tile::kBlocks; ++b) bend.apply(total[b]);
}

// Where a thread leaves its sums of piece `piece` of a parcel's tile, those of all threads side by
// side.
template <typename Tile>
__device__ __forceinline__ float* partial_sums(const ImplicitGemm& p, const GatherParcel& parcel,
                                               int piece) {
  const int64_t index = int64_t{parcel.cut_tile} * (parcel.pieces - 1) + piece;
  return p.partial_sums + index * (Tile::kRows * Tile::kColumns) + threadIdx.x;
}

// Leaves the sums of a parcel to the one that finishes its tile.
template <typename Tile>
__device__ __forceinline__ void leave_sums(const ImplicitGemm& p, const GatherParcel& parcel,
                                           const float (&total)[Tile::kBlocks][Tile::kRows / 2]) {
  constexpr int kSums = Tile::kRows / 2;
  float* target = partial_sums<Tile>(p, parcel, parcel.piece);
#pragma unroll
  for (int i = 0; i < Tile::kBlocks * kSums; ++i) {
    target[i * Tile::kMultipliers] = total[i / kSums][i % kSums];
  }
  publish_stores();
  sync_multipliers<Tile>();
  if (threadIdx.x == 0) count_arrival(p.arrivals + parcel.cut_tile);
}

// Adds what the other pieces of a tile have left.
template <typename Tile>
__device__ __forceinline__ void collect_sums(const ImplicitGemm& p, const GatherParcel& parcel,
                                             float (&total)[Tile::kBlocks][Tile::kRows / 2]) {
  constexpr int kSums = Tile::kRows / 2;
  constexpr int kAtOnce = 32;  // loads under way
  const int others = parcel.pieces - 1;
  if (threadIdx.x == 0) await_arrivals(p.arrivals + parcel.cut_tile, others);
  sync_multipliers<Tile>();
#pragma unroll 1
  for (int piece = 0; piece < others; ++piece) {
    const float* source = partial_sums<Tile>(p, parcel, piece);
#pragma unroll
    for (int first = 0; first < Tile::kBlocks * kSums; first += kAtOnce) {
      float sums[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        sums[i] = load_published(source + (first + i) * Tile::kMultipliers);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) total[(first + i) / kSums][(first + i) % kSums] += sums[i];
    }
  }
}

// Computes everything that the block does.
template <typename Tile>
__device__ void multiply_gathered_tiles(const ImplicitGemm& p, GatherShared& shared,
                                        const char* resident, char* ring,
                                        typename Tile::T* staging) {
  const int warp = threadIdx.x / 32;
  const int column =
      warp / 4 * 64 * Tile::kBlocks + warp % 4 * 16 + static_cast<int>(threadIdx.x) % 32 / 4;
  RingPosition at, chunk;
  int weight_block = -1;
  for_each_parcel<Tile>(p, [&](const GatherParcel& parcel) {
    const GemmTilePlace& place = parcel.place;
    if (p.epilogue.bias != nullptr && place.weight_block != weight_block) {
      share_bias<Tile>(p, place, shared.bias);
      weight_block = place.weight_block;
    }
    float total[Tile::kBlocks][Tile::kRows / 2] = {};
    sum_parcel<Tile>(p, parcel, shared, resident, ring, column, at, total);
    if (!parcel.is_last()) {
      leave_sums<Tile>(p, parcel, total);
      return;
    }
    if (parcel.pieces > 1) collect_sums<Tile>(p, parcel, total);
    finish_sums<Tile>(p, shared.bias, total);
    if (p.phases == 1) {
      stage_tile<Tile, false>(p, place, total, column, staging, shared.chunks, chunk);
    } else {
      stage_tile<Tile, true>(p, place, total, column, staging, shared.chunks, chunk);
    }
  });
}

// Stores all tiles; this is warp `storer` of those that do.
template <typename Tile>
__device__ void store_gathered_tiles(const ImplicitGemm& p, int storer, GatherShared& shared,
                                     const typename Tile::T* staging) {
  RingPosition chunk;
  for_each_parcel<Tile>(p, [&](const GatherParcel& parcel) {
    if (!parcel.is_last()) return;
    store_tile<Tile>(p, parcel.place, storer, staging, shared.chunks, chunk);
  });
}

template <typename Tile>
__device__ __forceinline__ void init_gather_barriers(const ImplicitGemm& p, GatherShared& shared) {
  for (int i = 0; i < p.ring; ++i) {
    shared.full[i].init(32 * Tile::kLoaders / loading_teams(p));
    shared.empty[i].init(Tile::kMultipliers);
  }
  for (int i = 0; i < p.chunks; ++i) {
    shared.chunks.full[i].init(Tile::kMultipliers);
    shared.chunks.empty[i].init(32 * Tile::kStorers);
  }
  shared.weights.init(1);
  fence_barrier_init();
}

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    gather_gemm_sm90_kernel(const __grid_constant__ ImplicitGemm p) {
#if ENGINE_SM90A_CODE  // the table only offers the kernel where its code is sm_90a's
  using T = typename Tile::T;
  char* memory = dynamic_shared();
  GatherShared& shared = *reinterpret_cast<GatherShared*>(memory);
  T* staging = reinterpret_cast<T*>(memory + kGatherSharedBytes);
  char* resident = memory + kGatherSharedBytes + p.chunks * LineChunk<T, Tile::kColumns>::kBytes;
  char* ring = resident + (p.resident ? p.channel_stages * p.tap_stages * p.weight_bytes : 0);
  if (threadIdx.x == 0) init_gather_barriers<Tile>(p, shared);
  __syncthreads();
  if (threadIdx.x < Tile::kMultipliers) {
    take_registers<Tile::kRegisters>();
    if (p.resident) shared.weights.wait(0);
    multiply_gathered_tiles<Tile>(p, shared, resident, ring, staging);
    return;
  }
  give_up_registers<Tile::kOtherRegisters>();
  const int warp = uniform((threadIdx.x - Tile::kMultipliers) / 32);
  if (warp >= Tile::kLoaders) {
    store_gathered_tiles<Tile>(p, warp - Tile::kLoaders, shared, staging);
    return;
  }
  if (p.resident && threadIdx.x == Tile::kMultipliers) {
    load_resident_weights(p, p.channel_stages * p.tap_stages, shared.weights, resident);
  }
  __syncwarp();
  load_gathered_tiles<Tile>(p, warp, shared, ring);
#endif
}

template <typename Tile>
void launch_gather_sm90(const ImplicitGemm& gemm, int64_t shared_bytes, int64_t blocks,
                        CudaStream stream) {
  LaunchConfig config{"gather_gemm_sm90", blocks};
  config.block = Tile::kThreads;
  config.shared_bytes = kGatherSharedBytes + shared_bytes;
  config.stream = stream;
  launch(gather_gemm_sm90_kernel<Tile>, config, gemm);
}

template <typename T, int kRows, int kGroups, int kBlocks, int kSteps, int kParts>
Sm90Kernel gather_kernel_sm90() {
  using Tile = GatherTile<T, kRows, kGroups, kBlocks, kSteps, kParts>;
  constexpr int64_t kSharedBytes = 227 * 1024;  // of a block on Hopper
  Sm90Kernel kernel;
  static_assert(kRows <= kGatherMaxRows);
  kernel.tile.rows = Tile::kRows;
  kernel.tile.columns = kernel.tile.staged_columns = Tile::kColumns;
  kernel.tile.parts = kParts;
  kernel.tile.element_bytes = sizeof(T);
  kernel.tile.shared_bytes = kSharedBytes - kGatherSharedBytes;
  kernel.tile.ring = kGatherMaxRing;
  kernel.tile.gathers = true;
  kernel.tile.gathered_steps = kSteps;
  kernel.tile.chunk_rows = kChunkRows;
  kernel.tile.chunk_bytes = LineChunk<T, Tile::kColumns>::kBytes;
  kernel.tile.most_chunks = std::min(kRows / kChunkRows, kMaxChunks);
  kernel.launch = launch_gather_sm90<Tile>;
  return kernel;
}

}  // namespace engine::cuda
