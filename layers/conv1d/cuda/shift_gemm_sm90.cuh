// Conv1d, and ConvTranspose1d of stride 1, in 16 bits as a matrix product on Hopper's tensor cores
// (wgmma), whose first operand is x, shifted in registers for the taps:
//   y[b, g M + m, q] = f(bias[g M + m] + sum over c, k of x[b, g C + c, q + first + k spacing]
//                                                         * w[g M + m, c, k])
// x and y are NCL; weights are packed at load time. GEMM: M = columns q, N = rows m, K = (c, k).
// ShiftPlan says how tiles and stages are cut. In this file: barriers and the ring, the threads
// that copy (copy_windows), multiply (multiply_tiles) and store (store_tiles), the kernel and its
// launch; the first operand is in shift_operand_sm90.h, stores are in shift_store_sm90.h.
//
// Threads: two warpgroups multiply, 128 columns each; of a third, one thread starts tensor copies
//   and three warps store.
// Shared memory: a ring of stages (windows of x, their sides, and the weights of the stage), or all
//   weights once and a ring of windows; the results of a tile on their way to y. A window lies as x
//   does; ldmatrix transposes it into registers once for all taps that read it.
// Precision: f16 or bf16 with f32 sums.
// Bytes: x once for each row tile of a group, with a halo for each column tile; y once; weights
//   once for each block where they are resident, else once for each tile, from the L2.
// Requires: sm_90a; rows of x that begin and end at multiples of 16 bytes; stride 1; zero padding;
//   activations that are bends; no residual.
// Limited by: instructions, of which few warps have to get many through for each product, and for
//   rows of y between 16-byte boundaries their stores; with one tap, memory. Measured parts:
//   docs/benchmarks.md.
#pragma once

#include "engine/cuda/hopper.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/gemm_block_sm90.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/output_row.h"
#include "layers/conv1d/cuda/ring_position.h"
#include "layers/conv1d/cuda/shift_gemm.h"
#include "layers/conv1d/cuda/shift_operand_sm90.h"
#include "layers/conv1d/cuda/shift_store_sm90.h"

namespace engine::cuda {

template <typename Element, int kRowCount>
struct ShiftTile {
  using T = Element;
  static constexpr int kRows = kRowCount;
  static constexpr int kSums = kRows / 2;  // of a thread and block
  static constexpr int kMultipliers = 256;
  static constexpr int kStoringWarps = 3;
  static constexpr int kThreads = kMultipliers + 128;
  // Of a thread: what it begins with, and what the others leave to those that multiply.
  static constexpr int kRegisters = 65536 / kThreads / 8 * 8;
  static constexpr int kMultiplierRegisters = 208;
  static constexpr int kOtherRegisters = 88;
  static_assert(kMultipliers * kMultiplierRegisters + (kThreads - kMultipliers) * kOtherRegisters <=
                kThreads * kRegisters);
};

struct ShiftBarriers {
  Barrier loaded[kMostShiftRing];
  Barrier free[kMostShiftRing];
  Barrier weights;
  Barrier staged;  // a tile's results
  Barrier stored;
};
inline constexpr int kShiftBarrierBytes = 256;
static_assert(sizeof(ShiftBarriers) <= kShiftBarrierBytes);

// Where everything lies in shared memory. Boxes come first: they begin at multiples of 1024.
struct ShiftMemory {
  char* staging;
  char* windows;
  char* weights;
  char* sides;
  ShiftBarriers* barriers;

  __device__ __forceinline__ ShiftMemory(const ShiftGemm& p, int staging_bytes, char* shared) {
    staging = shared;
    windows = staging + staging_bytes;
    weights = windows + p.ring * p.window_count * kShiftWindowBytes;
    sides = weights + (p.resident ? p.stages : p.ring) * p.weight_bytes;
    barriers = reinterpret_cast<ShiftBarriers*>(sides + p.ring * p.window_count * kShiftSideBytes);
  }
  __device__ __forceinline__ uint32_t window(const ShiftGemm& p, int slot, int index) const {
    return shared_address(windows) + (slot * p.window_count + index) * kShiftWindowBytes;
  }
  __device__ __forceinline__ uint32_t sides_of(const ShiftGemm& p, int slot, int index) const {
    return shared_address(sides) + (slot * p.window_count + index) * kShiftSideBytes;
  }
};

// Starts the copies of a window whose column 0 is input position `position`, and of its sides.
__device__ __forceinline__ void start_window(const ShiftGemm& p, int position, int channel,
                                             int matrix, uint32_t window, uint32_t sides,
                                             Barrier& loaded) {
  for (int box = 0; box < kShiftBoxes; ++box) {
    tensor_copy(window + box * kShiftBoxBytes, p.windows, position + 64 * box, channel, matrix,
                loaded);
  }
  if (p.left_sides) tensor_copy(sides, p.sides, position - kShiftWidth, channel, matrix, loaded);
  if (p.right_sides) {
    tensor_copy(sides + kShiftSideBytes / 2, p.sides, position + kShiftColumns, channel, matrix,
                loaded);
  }
}

// One thread: brings the windows of all stages, and their weights where they are not resident.
template <typename Tile>
__device__ void copy_windows(const ShiftGemm& p, const ShiftMemory& memory) {
  const int side_bytes = (p.left_sides + p.right_sides) * (kShiftSideBytes / 2);
  const int bytes =
      p.window_count * (kShiftWindowBytes + side_bytes) + (p.resident ? 0 : p.weight_bytes);
  RingPosition at;
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
    const GemmTilePlace place = place_of(p, tile, Tile::kRows);
    const auto matrix = static_cast<int>(place.sample * p.groups + place.group);
    const auto column = static_cast<int>(place.column);
    for (int stage = 0; stage < p.stages; ++stage, at.advance(p.ring)) {
      Barrier& loaded = memory.barriers->loaded[at.slot];
      memory.barriers->free[at.slot].wait(at.parity ^ 1);
      loaded.arrive_and_expect(bytes);
      for (int w = 0; w < p.window_count; ++w) {
        start_window(p, column + p.offset[w], stage * kShiftChannels, matrix,
                     memory.window(p, at.slot, w), memory.sides_of(p, at.slot, w), loaded);
      }
      if (p.resident) continue;
      const int64_t first = (int64_t{place.weight_block} * p.stages + stage) * p.weight_bytes;
      bulk_copy(shared_address(memory.weights) + at.slot * p.weight_bytes,
                static_cast<const char*>(p.weights) + first, p.weight_bytes, loaded);
    }
  }
}

// The sums of a warpgroup's two blocks: block b of warp w has columns 32 w + 16 b and on.
template <typename Tile>
struct ShiftSums {
  float blocks[2][Tile::kSums];
};

// Starts the products of kCount operands with the weights at the shared address `weights`, in
// units, and `step` units further for each.
template <typename Tile, int kCount>
__device__ __forceinline__ void start_products(const ShiftedOperand (&operands)[kCount],
                                               uint32_t weights, uint32_t step,
                                               ShiftSums<Tile>& sums) {
  constexpr uint32_t kUnitStep = Tile::kRows << 16;
  const uint32_t first = uniform(weights + kUnitStep);
  wgmma_fence();
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const uint64_t b = wgmma_descriptor(first + i * step);
#pragma unroll
    for (int block = 0; block < 2; ++block) {
      wgmma_gathered<typename Tile::T, Tile::kRows>(sums.blocks[block], operands[i].blocks[block],
                                                    b);
    }
  }
  wgmma_commit();
}

// The products of the stages. One group of them is under way while the operands of the next come
// into other registers.
template <typename Tile>
struct ShiftProducts {
  static constexpr uint32_t kProductUnits = kProductChannels / kShiftWidth * Tile::kRows;
  static constexpr uint32_t kTapUnits = kShiftChannels / kShiftWidth * Tile::kRows;

  const ShiftGemm& p;
  const ShiftMemory& memory;
  const WarpUnits& warp_units;
  Barrier* last = nullptr;  // free of the stage before, whose products may be under way

  __device__ __forceinline__ void release_last() {
    if (threadIdx.x % 32 == 0 && last != nullptr) last->arrive();
    last = nullptr;
  }
  __device__ __forceinline__ void finish() {
    wgmma_wait<0>();
    release_last();
  }

  // Taps from `tap` on of product `k` of window w: kShifted, and one of shift 0 if kPlain.
  template <int kShifted, bool kPlain>
  __device__ __forceinline__ void start_taps(int slot, int w, int tap, int k, uint32_t weights,
                                             ShiftSums<Tile>& sums) {
    const uint32_t window = memory.window(p, slot, w);
    ShiftUnits units;
    ShiftedOperand operands[kShifted + (kPlain ? 1 : 0)];
    warp_units.load(window, k, units);
    if constexpr (kShifted > 0) {
      warp_units.load_neighbours(window, memory.sides_of(p, slot, w), k, units);
    }
#pragma unroll
    for (int i = 0; i < kShifted; ++i) operands[i].take_shifted(units, p.shift[tap + i]);
    if constexpr (kPlain) operands[kShifted].take(units);
    start_products<Tile>(operands, weights + tap * kTapUnits + k * kProductUnits, kTapUnits, sums);
  }
  // The same for all channels of the stage. Before operands are overwritten, all products but those
  // of the last group are done.
  template <int kShifted, bool kPlain>
  __device__ __forceinline__ void multiply_taps(int slot, int w, int tap, uint32_t weights,
                                                ShiftSums<Tile>& sums) {
    static_assert(kShiftChannels == 2 * kProductChannels);
    wgmma_wait<1>();
    start_taps<kShifted, kPlain>(slot, w, tap, 0, weights, sums);
    wgmma_wait<1>();
    release_last();
    start_taps<kShifted, kPlain>(slot, w, tap, 1, weights, sums);
  }
  // A window: its shifted taps two by two, and that of shift 0.
  __device__ __forceinline__ void multiply_window(int slot, int w, uint32_t weights,
                                                  ShiftSums<Tile>& sums) {
    int tap = p.first_tap[w];
    const int end = p.first_tap[w + 1];
    const int shifted_end = p.shift[end - 1] == 0 ? end - 1 : end;
    for (; tap + 2 <= shifted_end; tap += 2) multiply_taps<2, false>(slot, w, tap, weights, sums);
    if (tap < shifted_end) multiply_taps<1, false>(slot, w, tap, weights, sums);
    if (shifted_end < end) multiply_taps<0, true>(slot, w, shifted_end, weights, sums);
  }
  // A stage that is in `slot`, with its weights at the shared address `weights`, in units.
  __device__ __forceinline__ void multiply_stage(int slot, uint32_t weights,
                                                 ShiftSums<Tile>& sums) {
    for (int w = 0; w < p.window_count; ++w) multiply_window(slot, w, weights, sums);
    last = &memory.barriers->free[slot];
  }
};

// The bias of a tile's rows: lane l has those of every 32nd row from row l on.
template <typename Tile>
struct TileBias {
  float values[Tile::kRows / 32];

  __device__ __forceinline__ TileBias(const ShiftGemm& p, const GemmTilePlace& place) {
    const int first = place.row + threadIdx.x % 32, last = p.group_outputs - 1;
#pragma unroll
    for (int i = 0; i < Tile::kRows / 32; ++i) {
      const int row = place.group * p.group_outputs + min(first + 32 * i, last);
      values[i] = p.epilogue.bias != nullptr ? __ldg(p.epilogue.bias + row) : 0.0f;
    }
  }
  __device__ __forceinline__ void add_to(ShiftSums<Tile>& sums) const {
#pragma unroll
    for (int j = 0; j < Tile::kSums / 4; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int row = 8 * (j % 4) + threadIdx.x % 4 * 2 + e;
        const float value = __shfl_sync(0xffffffffu, values[j / 4], row);
#pragma unroll
        for (int b = 0; b < 2; ++b) {
          sums.blocks[b][4 * j + e] += value;
          sums.blocks[b][4 * j + 2 + e] += value;
        }
      }
    }
  }
};

// Applies the activation to a warp's sums and puts them into `staging`. `warp`: of both warpgroups.
template <typename Tile>
__device__ __forceinline__ void stage_sums(const ShiftGemm& p, int warp, ShiftSums<Tile>& sums,
                                           const char* staging) {
  const int lane = threadIdx.x % 32, row = lane % 8, matrix = lane / 8;
#pragma unroll
  for (int b = 0; b < 2; ++b) {
    float(&block)[Tile::kSums] = sums.blocks[b];
    if (p.epilogue.activation.kind != Activation::Kind::kIdentity) {
      Bend(p.epilogue.activation).apply(block);
    }
    // Matrices: both halves of the block's columns, of eight rows and the next eight.
    const int unit = warp % 2 * kWarpUnits + 2 * b + matrix % 2;
    const uint32_t target = shared_address(staging) +
                            staged_row_at(Tile::kRows, warp / 2, matrix / 2 * 8 + row) +
                            (unit ^ row) * 16;
#pragma unroll
    for (int j = 0; j < Tile::kSums / 4; j += 2) {
      uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int sum = 4 * (j + i / 2) + 2 * (i % 2);
        words[i] = word_of_pair<typename Tile::T>(block[sum], block[sum + 1]);
      }
      store_transposed(target + j * 8 * kShiftBoxRowBytes, words);
    }
  }
}

template <typename Tile>
__device__ void multiply_tiles(const ShiftGemm& p, const ShiftMemory& memory) {
  ShiftBarriers& barriers = *memory.barriers;
  const int warp = threadIdx.x / 32;
  const bool leader = threadIdx.x % 32 == 0;
  const WarpUnits warp_units(warp);
  ShiftProducts<Tile> products{p, memory, warp_units};
  if (p.resident) barriers.weights.wait(0);
  RingPosition at;
  uint32_t parity = 1;  // of `stored`
  TileBias<Tile> bias(p, place_of(p, blockIdx.x, Tile::kRows));
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x, parity ^= 1) {
    // A block that keeps its weights keeps its rows.
    if (!p.resident) bias = TileBias<Tile>(p, place_of(p, tile, Tile::kRows));
    ShiftSums<Tile> sums{};
    for (int stage = 0; stage < p.stages; ++stage, at.advance(p.ring)) {
      const uint32_t weights =
          shared_address(memory.weights) + (p.resident ? stage : at.slot) * p.weight_bytes;
      barriers.loaded[at.slot].wait(at.parity);
      products.multiply_stage(at.slot, weights / 16, sums);
    }
    products.finish();
    bias.add_to(sums);
    barriers.stored.wait(parity);
    stage_sums<Tile>(p, warp, sums, memory.staging);
    fence_proxy_async();
    __syncwarp();
    if (leader) barriers.staged.arrive();
  }
}

// The storing warps; where the copy engine stores, one thread of the first.
template <typename Tile>
__device__ void store_tiles(const ShiftGemm& p, const ShiftMemory& memory, int warp) {
  const bool leader = threadIdx.x % 32 == 0;
  if (p.by_tensor && (warp > 0 || !leader)) return;
  uint32_t parity = 0;
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x, parity ^= 1) {
    const GemmTilePlace place = place_of(p, tile, Tile::kRows);
    memory.barriers->staged.wait(parity);
    if (p.by_tensor) {
      store_boxes<Tile::kRows>(p, place, memory.staging);
    } else {
      store_rows<Tile::kRows>(p, place, memory.staging, warp, Tile::kStoringWarps);
      __syncwarp();
    }
    if (leader) memory.barriers->stored.arrive();
  }
}

template <typename Tile>
__device__ __forceinline__ void init_barriers(const ShiftGemm& p, ShiftBarriers& barriers) {
  constexpr int kWarps = Tile::kMultipliers / 32;
  for (int i = 0; i < p.ring; ++i) {
    barriers.loaded[i].init(1);
    barriers.free[i].init(kWarps);
  }
  barriers.weights.init(1);
  barriers.staged.init(kWarps);
  barriers.stored.init(p.by_tensor ? 1 : Tile::kStoringWarps);
  fence_barrier_init();
}

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    shift_gemm_sm90_kernel(const __grid_constant__ ShiftGemm p) {
#if ENGINE_SM90A_CODE  // the table only offers the kernel where its code is sm_90a's
  const ShiftMemory memory(p, Tile::kRows * kShiftColumns * 2, dynamic_shared());
  if (threadIdx.x == 0) init_barriers<Tile>(p, *memory.barriers);
  __syncthreads();
  if (threadIdx.x < Tile::kMultipliers) {
    take_registers<Tile::kMultiplierRegisters>();
    multiply_tiles<Tile>(p, memory);
    return;
  }
  give_up_registers<Tile::kOtherRegisters>();
  const int warp = (threadIdx.x - Tile::kMultipliers) / 32;
  if (warp > 0) {
    store_tiles<Tile>(p, memory, warp - 1);
  } else if (threadIdx.x % 32 == 0) {
    if (p.resident) load_resident_weights(p, p.stages, memory.barriers->weights, memory.weights);
    copy_windows<Tile>(p, memory);
  }
#endif
}

template <typename Tile>
void launch_shift_gemm(const ShiftGemm& gemm, int64_t shared_bytes, int64_t blocks,
                       CudaStream stream) {
  LaunchConfig config{"shift_gemm_sm90", blocks};
  config.block = Tile::kThreads;
  config.shared_bytes = shared_bytes + kShiftBarrierBytes;
  config.stream = stream;
  launch(shift_gemm_sm90_kernel<Tile>, config, gemm);
}

template <typename T, int kRows>
ShiftKernel shift_kernel_sm90() {
  constexpr int64_t kSharedBytes = 227 * 1024;
  return {kRows, kSharedBytes - kShiftBarrierBytes, launch_shift_gemm<ShiftTile<T, kRows>>};
}

}  // namespace engine::cuda
