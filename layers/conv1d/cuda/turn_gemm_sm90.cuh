// Conv1d and ConvTranspose1d as a matrix product on Hopper's tensor cores (wgmma), whose second
// operand is x, turned in shared memory from how it lies, or arranged before (arrange_units.h):
//   y[b, g M + m, q phases + r - lead] = f(bias[g M + m] + sum over c, u of
//       w[g, m, c, tap(r, u)] * x[b, g C + c, q stride + first + u spacing])
// x and y are NCL; weights are packed at load time. GEMM: M = rows (m, r), N = columns q, K = (c,
// u), as in PhaseFold. TurnPlan says how tiles and stages are cut. In this file: what the warps do
// that turn, multiply and store, the kernel and its launch. Beside it: what lies in shared memory
// (turn_memory_sm90.h), how it comes there (turn_load_sm90.h), how windows are turned
// (turn_window_sm90.h, of f32 turn_split_sm90.h), multiplied (turn_products_sm90.h), how sums are
// finished (turn_stage_sm90.h) and rows are stored (turn_store_sm90.h).
//
// Threads: two warpgroups multiply: 64 rows each of a tile of 128, or half the columns of 64 rows.
//   Of eight or nine more warps one starts copies, three or four turn windows, the others store;
//   where units are arranged, four of each start copies and store, joined samples by elements. Of
//   few tiles of units, each is split: a cluster of blocks shares its stages, and the others give
//   their sums to the first one.
// Shared memory: a ring of windows of x with what taps reach beside them; all weights, or a ring of
//   those of the windows' taps; the results of a tile on their way to y. Once turned, a window is a
//   valid operand at every position, so that it serves all its taps.
// Precision: f16 or bf16 with f32 sums. TF32 and f32 are multiplied as scaled f16 (half_parts.h):
//   by one part, or by two, whose products are added up in f32 a few taps at a time, because tensor
//   cores truncate when they add. Beside an infinity f32 in two parts gives NaN for infinity.
// Bytes: x once for each row tile of a group, with a halo for each column tile; y once; weights
//   once for each block where they are resident, else once for each tile, from the L2.
// Requires: sm_90a; activations that are bends; no residual. Windows of rows: rows of x that begin
//   and end at multiples of 16 bytes, stride 1, and zero padding.
// Limited by: memory, with few taps; with more, the tensor cores, whose operands go through shared
//   memory as everything else does. Measured parts: docs/gpu-kernels.md.
#pragma once

#include <type_traits>
#include <vector>

#include "engine/cuda/hopper.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/gemm_block_sm90.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/ring_position.h"
#include "layers/conv1d/cuda/turn_gemm.h"
#include "layers/conv1d/cuda/turn_load_sm90.h"
#include "layers/conv1d/cuda/turn_memory_sm90.h"
#include "layers/conv1d/cuda/turn_products_sm90.h"
#include "layers/conv1d/cuda/turn_split_sm90.h"
#include "layers/conv1d/cuda/turn_stage_sm90.h"
#include "layers/conv1d/cuda/turn_store_sm90.h"
#include "layers/conv1d/cuda/turn_window_sm90.h"

namespace engine::cuda {

// The turning warps.
template <typename Tile>
__device__ void turn_windows(const TurnGemm& p, const TurnMemory<Tile>& memory, int warp) {
  constexpr int kMeeting = 1;
  TurnShared& shared = *memory.shared;
  const WindowTurner<Tile::kTurningWarps, kMeeting> turner(p.side_count, warp);
  RingPosition at;
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
    for (int i = 0; i < p.stages * p.window_count; ++i, at.advance(p.ring)) {
      shared.loaded[at.slot].wait(at.parity);
      turner.turn(memory.window(p, at.slot));
      fence_proxy_async();
      __syncwarp();
      if (threadIdx.x % 32 == 0) shared.turned[at.slot].arrive();
    }
  }
}

// The largest of what the turning warps give, a lane of each; they leave words at `meeting`, which
// is another place than in the call before.
__device__ __forceinline__ uint32_t largest_of_warps(uint32_t mine, int warp, uint32_t meeting) {
  constexpr int kMeeting = 1;
  if (threadIdx.x % 32 == 0) store_shared(meeting + 4 * warp, mine);
  named_barrier(kMeeting, 32 * kUnitsOfStage);
  uint32_t largest = mine;
#pragma unroll
  for (int w = 0; w < kUnitsOfStage; ++w) largest = max(largest, load_shared(meeting + 4 * w));
  return largest;
}

// The turning warps of f32, which they scale, each a unit. Where the sums of a tile follow the
// scales of its windows, these only become smaller: each is for the windows before, too.
template <typename Tile>
__device__ void scale_windows(const TurnGemm& p, const TurnMemory<Tile>& memory, int warp) {
  TurnShared& shared = *memory.shared;
  SplitUnit unit(p.side_count, warp);
  RingPosition at;
  int turn = 0;
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
    uint32_t largest = 0;
    for (int i = 0; i < p.stages * p.window_count; ++i, at.advance(p.ring), turn ^= 1) {
      shared.loaded[at.slot].wait(at.parity);
      unit.load(memory.window(p, at.slot));
      if (Tile::kOperandParts == 2) largest = 0;
      largest = largest_of_warps(max(largest, unit.largest()), warp,
                                 shared_address(shared.magnitude[turn]));
      const HalfScale scale(largest);
      unit.store<Tile::kOperandParts>(memory.window(p, at.slot), __uint_as_float(scale.bits));
      if (warp == 0 && threadIdx.x % 32 == 0) {
        shared.inverse_scale[at.slot] = __uint_as_float(scale.inverse_bits);
      }
      fence_proxy_async();
      __syncwarp();
      if (threadIdx.x % 32 == 0) shared.turned[at.slot].arrive();
    }
  }
}

// The multiplying warps.
template <typename Tile>
__device__ void multiply_tiles(const TurnGemm& p, const TurnMemory<Tile>& memory) {
  TurnShared& shared = *memory.shared;
  if constexpr (Tile::kScales && !Tile::kTurns) await_previous_kernel();  // for scales
  using Products =
      std::conditional_t<Tile::kOperandParts == 2, SplitProducts<Tile>, TurnProducts<Tile>>;
  Products products{p, memory};
  if (p.resident) shared.weights_loaded[0].wait(0);
  const int half = products.half;
  const uint32_t staging = memory.staging + half * Tile::kHalfBytes;
  RingPosition at, weights_at;
  TapGroup next = p.tap_group[0];
  uint32_t parity = 1;  // of `stored`
  const TurnShare<Tile> share(p);
  RowFinish<Tile::kScales> finish(p, place_of(p, share.first_tile, p.tile_channels), products);
  for (int64_t tile = share.first_tile; tile < p.tiles; tile += share.tile_step, parity ^= 1) {
    // A block that keeps its weights keeps its rows.
    const GemmTilePlace place = place_of(p, tile, p.tile_channels);
    if (!p.resident) finish = RowFinish<Tile::kScales>(p, place, products);
    products.begin_tile(place, finish);
    for (int stage = share.first_stage; stage < share.end_stage; ++stage) {
      for (int g = 0; g < p.tap_group_count; ++g) {
        const TapGroup group = next;
        next = p.tap_group[g + 1];
        const int weight_slot = p.resident ? stage : weights_at.slot;
        const bool first = stage == share.first_stage && g == 0;
        products.multiply_group(group, at.slot, weight_slot, first, [&] {
          if (!p.resident) shared.weights_loaded[weights_at.slot].wait(weights_at.parity);
          (Tile::kTurns ? shared.turned : shared.loaded)[at.slot].wait(at.parity);
        });
        if (!p.resident) weights_at.advance(p.weight_ring);
        if (group.ends_window()) at.advance(p.ring);
      }
    }
    products.finish();
    if (share.rank > 0) return give_sums(products, share.rank);
    if (is_split<Tile>(p)) add_sums(p, products);
    finish_tile(p, place_of(p, tile, p.tile_channels), finish, products);
    shared.stored[half].wait(parity);
    stage_tile(p, place_of(p, tile, p.tile_channels), products, staging);
    fence_proxy_async();
    shared.staged[half].arrive();
  }
}

// The storing warps.
template <typename Tile, bool kPhased>
__device__ void store_half(const TurnGemm& p, const GemmTilePlace& place, int row, uint32_t staging,
                           int warp) {
  if (!Tile::kTurns && p.joined) {
    store_joined_rows<Tile, kPhased>(p, place, row, staging, warp);
  } else {
    store_rows<Tile, kPhased>(p, place, row, staging, warp, Tile::kStoringWarps);
  }
}

template <typename Tile>
__device__ void store_tiles(const TurnGemm& p, const TurnMemory<Tile>& memory, int warp) {
  const TurnShare<Tile> share(p);
  if (share.rank > 0) return;
  uint32_t parity = 0;
  for (int64_t tile = share.first_tile; tile < p.tiles; tile += share.tile_step, parity ^= 1) {
    const GemmTilePlace place = place_of(p, tile, p.tile_channels);
    for (int half = 0; half < Tile::kRowGroups; ++half) {
      const int row = place.row + half * p.half_channels;
      const uint32_t staging = memory.staging + half * Tile::kHalfBytes;
      memory.shared->staged[half].wait(parity);
      if (p.phases == 1) {
        store_half<Tile, false>(p, place, row, staging, warp);
      } else {
        store_half<Tile, true>(p, place, row, staging, warp);
      }
      memory.shared->stored[half].arrive();
    }
  }
}

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    turn_gemm_sm90_kernel(const __grid_constant__ TurnGemm p) {
#if ENGINE_SM90A_CODE  // the table only offers the kernel where its code is sm_90a's
  const TurnMemory<Tile> memory(p, Tile::kRowGroups * Tile::kHalfBytes, dynamic_shared());
  if (threadIdx.x == 0) init_barriers<Tile>(p, *memory.shared);
  if (is_split<Tile>(p)) {
    cluster_barrier();
  } else {
    __syncthreads();
  }
  if (threadIdx.x < Tile::kMultipliers) {
    take_registers<Tile::kMultiplierRegisters>();
    multiply_tiles<Tile>(p, memory);
    return;
  }
  give_up_registers<Tile::kOtherRegisters>();
  const int warp = static_cast<int>(uniform((threadIdx.x - Tile::kMultipliers) / 32));
  const int storing_warp = warp - Tile::kCopyingWarps - Tile::kTurningWarps;
  if (storing_warp >= Tile::kStoringWarps) return;
  if (storing_warp >= 0) {
    store_tiles<Tile>(p, memory, storing_warp);
  } else if (warp >= Tile::kCopyingWarps) {
    if constexpr (Tile::kTurns && Tile::kScales) {
      scale_windows<Tile>(p, memory, warp - Tile::kCopyingWarps);
    } else if constexpr (Tile::kTurns) {
      turn_windows<Tile>(p, memory, warp - Tile::kCopyingWarps);
    }
  } else {
    if (p.resident && warp == 0 && threadIdx.x % 32 == 0) {
      load_resident_weights(p, p.stages, memory.shared->weights_loaded[0], memory.weights);
    }
    __syncwarp();
    copy_stages<Tile>(p, memory, warp);
  }
#endif
}

template <typename Tile>
void launch_turn_gemm(const TurnGemm& gemm, int64_t shared_bytes, int64_t blocks,
                      CudaStream stream) {
  LaunchConfig config{"turn_gemm_sm90", blocks};
  config.block = Tile::kThreads;
  config.shared_bytes = shared_bytes + kTurnSharedBytes;
  config.stream = stream;
  config.begins_early = !Tile::kTurns;
  config.cluster = gemm.splits;
  launch(turn_gemm_sm90_kernel<Tile>, config, gemm);
}

template <typename T, int kParts, TurnSource kSource, int kRows, int kColumns,
          int kStageChannels = kTurnChannels>
TurnKernel turn_kernel_sm90() {
  constexpr int64_t kSharedBytes = 227 * 1024;
  using Tile = TurnTile<T, kParts, kSource, kRows, kColumns, kStageChannels>;
  return {{kSource, kRows, kColumns, kStageChannels},
          kSharedBytes - kTurnSharedBytes,
          launch_turn_gemm<Tile>};
}

/// Those of one type, with operands of kParts parts. Windows of units may have any columns.
template <typename T, int kParts>
std::vector<TurnKernel> turn_kernels_sm90() {
  constexpr int kColumns = kTurnColumnBytes / sizeof(T);
  std::vector<TurnKernel> kernels = {
      turn_kernel_sm90<T, kParts, TurnSource::kRows, 128, kColumns>(),
      turn_kernel_sm90<T, kParts, TurnSource::kRows, 64, kColumns>(),
      turn_kernel_sm90<T, kParts, TurnSource::kUnits, 128, kColumns>(),
      turn_kernel_sm90<T, kParts, TurnSource::kUnits, 64, kColumns>()};
  if constexpr (kParts == 1) {
    constexpr int kLong = 2 * kTurnChannels;
    kernels.push_back(turn_kernel_sm90<T, 1, TurnSource::kUnits, 128, 128, kLong>());
    kernels.push_back(turn_kernel_sm90<T, 1, TurnSource::kUnits, 64, 128, kLong>());
    kernels.push_back(turn_kernel_sm90<T, 1, TurnSource::kUnits, 128, 192, kLong>());
    kernels.push_back(turn_kernel_sm90<T, kParts, TurnSource::kUnits, 128, 192>());
    if constexpr (sizeof(T) == 4) {
      kernels.push_back(turn_kernel_sm90<T, kParts, TurnSource::kUnits, 128, 256>());
    } else {
      kernels.push_back(turn_kernel_sm90<T, kParts, TurnSource::kUnits, 128, 128>());
      kernels.push_back(turn_kernel_sm90<T, kParts, TurnSource::kUnits, 64, 128>());
    }
  }
  return kernels;
}

}  // namespace engine::cuda
