// Conv1d and ConvTranspose1d as a matrix product on Hopper's tensor cores (wgmma), whose second
// operand is x, turned in shared memory from how it lies, or arranged before (arrange_units.h):
//   y[b, g M + m, q phases + r - lead] = f(bias[g M + m] + sum over c, u of
//       w[g, m, c, tap(r, u)] * x[b, g C + c, q stride + first + u spacing])
// x and y are NCL; weights are packed at load time. GEMM: M = rows (m, r), N = columns q, K = (c,
// u), as in PhaseFold. TurnPlan says how tiles and stages are cut. In this file: barriers and
// rings, the warps that copy (copy_stages), turn (turn_windows), multiply (multiply_tiles) and
// store (store_tiles), the kernel and its launch; how windows are turned is in turn_window_sm90.h,
// how rows are stored in turn_store_sm90.h.
//
// Threads: two warpgroups multiply: 64 rows each of a tile of 128, or half the columns of 64 rows.
//   Of eight more warps one starts copies, three turn windows, four store.
// Shared memory: a ring of windows of x with what taps reach beside them; all weights, or a ring of
//   those of the windows' taps; the results of a tile on their way to y. Once turned, a window is a
//   valid operand at every position, so that it serves all its taps.
// Precision: TF32, f16 or bf16 with f32 sums.
// Bytes: x once for each row tile of a group, with a halo for each column tile; y once; weights
//   once for each block where they are resident, else once for each tile, from the L2.
// Requires: sm_90a; activations that are bends; no residual. Windows of rows: rows of x that begin
//   and end at multiples of 16 bytes, stride 1, and zero padding.
// Limited by: memory, with few taps; with more, the tensor cores, whose operands go through shared
//   memory as everything else does. Measured parts: docs/benchmarks.md.
#pragma once

#include <algorithm>
#include <type_traits>

#include "engine/cuda/hopper.h"
#include "engine/cuda/launch.h"
#include "layers/conv1d/cuda/gemm_block_sm90.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/output_row.h"
#include "layers/conv1d/cuda/ring_position.h"
#include "layers/conv1d/cuda/turn_gemm.h"
#include "layers/conv1d/cuda/turn_split_sm90.h"
#include "layers/conv1d/cuda/turn_stage_sm90.h"
#include "layers/conv1d/cuda/turn_store_sm90.h"
#include "layers/conv1d/cuda/turn_window_sm90.h"

namespace engine::cuda {

template <typename Element, int kOperandPartCount, TurnSource kFrom, int kRowCount,
          int kColumnCount>
struct TurnTile {
  using T = Element;
  static constexpr bool kScales = sizeof(T) == 4;  // to f16, which is what is multiplied,
  using Operand = std::conditional_t<kScales, __half, T>;
  static constexpr int kOperandParts = kOperandPartCount;  // of an element
  static constexpr int kRows = kRowCount;
  static constexpr int kTileColumns = kColumnCount;
  static constexpr bool kTurns = kFrom == TurnSource::kRows;  // else units are arranged
  static_assert(!kTurns || kTileColumns * sizeof(T) == kTurnColumnBytes);
  static constexpr int kMultipliers = 256;
  // A warpgroup has 64 rows of a tile, of all columns or half of them, in parts of which each is
  // computed by products of its own.
  static constexpr int kRowGroups = kRows / kTurnHalfRows;
  static constexpr int kColumns = kTileColumns * kRowGroups / 2;
  static constexpr int kPartColumns = kColumns % 128 == 0 ? 128 : kColumns;
  static constexpr int kParts = kColumns / kPartColumns;
  // Results of one phase in shared memory, of a row and of half a tile's.
  static constexpr int kStagedPitch = turn_staged_pitch(kTileColumns, sizeof(T), 1);
  static constexpr int kHalfBytes = turn_half_bytes(kTileColumns, sizeof(T));
  // Of units the turning warps have nothing to do.
  static constexpr int kTurningWarps = kTurns && kScales ? kSplitUnits : 3;
  static constexpr int kStoringWarps = kTurns && kOperandParts == 2 ? 3 : 4;
  static constexpr int kOtherWarps = (1 + kTurningWarps + kStoringWarps + 3) / 4 * 4;
  static constexpr int kThreads = kMultipliers + 32 * kOtherWarps;
  // Of a thread: what it begins with, and what the others leave to those that multiply.
  static constexpr int kRegisters = 65536 / kThreads / 8 * 8;
  static constexpr int kMultiplierRegisters = kOtherWarps > 8 ? 120 : kTurns ? 168 : 192;
  static constexpr int kOtherRegisters = kOtherWarps > 8 ? 80 : kTurns ? 88 : 64;
  static_assert(kMultipliers * kMultiplierRegisters + (kThreads - kMultipliers) * kOtherRegisters <=
                kThreads * kRegisters);
};

// What the warps of a block tell each other.
struct TurnShared {
  Barrier loaded[kMostTurnRing];  // a window
  Barrier turned[kMostTurnRing];
  Barrier used[kMostTurnRing];            // it is not needed any more
  Barrier weights_loaded[kMostTurnRing];  // the first for all where they are resident
  Barrier weights_used[kMostTurnRing];
  Barrier staged[2];  // a half tile's results
  Barrier stored[2];
  float inverse_scale[kMostTurnRing];  // of windows that are scaled
  uint32_t magnitude[2][kSplitUnits];  // of what the turning warps have, for windows in turns
};
inline constexpr int kTurnSharedBytes = 512;
static_assert(sizeof(TurnShared) <= kTurnSharedBytes);

// Units of a position of a window, of one part.
template <typename Tile>
inline constexpr int kStageUnits = kTurnChannels / kUnitElements<typename Tile::Operand>;

// Bytes of the weights of a tap of a stage.
template <typename Tile>
inline constexpr int kTapBytes = kStageUnits<Tile>* Tile::kOperandParts* Tile::kRows* kUnitBytes;

// Where everything lies in shared memory. Windows begin at multiples of 1024.
template <typename Tile>
struct TurnMemory {
  uint32_t staging;
  uint32_t windows;
  char* weights;
  TurnShared* shared;

  __device__ __forceinline__ TurnMemory(const TurnGemm& p, int staging_bytes, char* memory) {
    staging = shared_address(memory);
    windows = staging + staging_bytes;
    weights = memory + staging_bytes + p.ring * p.slot_bytes;
    shared = reinterpret_cast<TurnShared*>(weights + p.weight_ring * p.weight_slot_bytes);
  }
  __device__ __forceinline__ uint32_t window(const TurnGemm& p, int slot) const {
    return windows + slot * p.slot_bytes;
  }
  __device__ __forceinline__ uint32_t weights_at(const TurnGemm& p, int slot) const {
    return shared_address(weights) + slot * p.weight_slot_bytes;
  }
};

// Starts the copies of a window whose column 0 is input position `position`, and of its sides. One
// warp. kWidth: elements of a unit.
template <int kWidth>
__device__ __forceinline__ void start_window(const TurnGemm& p, int position, int channel,
                                             int matrix, uint32_t window, Barrier& loaded) {
#pragma unroll
  for (int box = 0; box < kTurnBoxes; ++box) {
    tensor_copy(window + box * kTurnBoxBytes, p.windows, position + box * kSwizzledUnits * kWidth,
                channel, matrix, loaded);
  }
#pragma unroll 1
  for (int side = 0; side < p.side_count; ++side) {
    tensor_copy(window + kTurnWindowBytes + side * kTurnSideBytes, p.sides,
                position + (kTurnBoxes * kSwizzledUnits + side) * kWidth, channel, matrix, loaded);
  }
}

// Starts the copies of the units of a window: those of all positions lie side by side. One warp.
template <typename Tile>
__device__ __forceinline__ void start_units(const TurnGemm& p, int64_t plane, int stage,
                                            int64_t position, uint32_t window, Barrier& loaded) {
  constexpr int kUnits = kStageUnits<Tile> * Tile::kOperandParts;
  const int bytes = p.positions * kUnitBytes;
  const int64_t first = (plane * p.plane_units + stage * kUnits) * p.plane_length + position;
  if (threadIdx.x % 32 == 0) {
    const char* source = p.units + first * kUnitBytes;
#pragma unroll
    for (int unit = 0; unit < kUnits; ++unit, source += p.plane_length * kUnitBytes) {
      bulk_copy(window + unit * bytes, source, bytes, loaded);
    }
  }
  __syncwarp();
}

// Starts the copies of window `w` of a stage to slot `slot`.
template <typename Tile>
__device__ __forceinline__ void start_slot(const TurnGemm& p, const TurnMemory<Tile>& memory,
                                           const GemmTilePlace& place, int stage, int w, int slot) {
  Barrier& loaded = memory.shared->loaded[slot];
  const auto matrix = static_cast<int>(place.sample * p.groups + place.group);
  const auto position = static_cast<int>(place.column) + p.offset[w];
  if (threadIdx.x % 32 == 0) loaded.arrive_and_expect(p.window_bytes);
  __syncwarp();
  if constexpr (Tile::kTurns) {
    start_window<kUnitElements<typename Tile::T>>(p, position, stage * kTurnChannels, matrix,
                                                  memory.window(p, slot), loaded);
  } else {
    start_units<Tile>(p, int64_t{matrix} * p.plane_count + p.plane[w], stage, position,
                      memory.window(p, slot), loaded);
  }
}

// Starts the copy of the weights of group `group` of taps.
template <typename Tile>
__device__ __forceinline__ void start_weights(const TurnGemm& p, const TurnMemory<Tile>& memory,
                                              const GemmTilePlace& place, int stage, int group,
                                              int slot) {
  if (threadIdx.x % 32 == 0) {
    const int first_tap = p.group_tap[group];
    const int taps = p.group_tap[group + 1] - first_tap;
    const int64_t first = (int64_t{place.weight_block} * p.stages + stage) * p.weight_bytes +
                          first_tap * kTapBytes<Tile>;
    Barrier& loaded = memory.shared->weights_loaded[slot];
    loaded.arrive_and_expect(taps * kTapBytes<Tile>);
    bulk_copy(memory.weights_at(p, slot), static_cast<const char*>(p.weights) + first,
              taps * kTapBytes<Tile>, loaded);
  }
  __syncwarp();
}

// One warp: brings the windows of all stages, and their weights where they are not resident.
template <typename Tile>
__device__ void copy_stages(const TurnGemm& p, const TurnMemory<Tile>& memory) {
  TurnShared& shared = *memory.shared;
  RingPosition at, weights_at;
  if constexpr (!Tile::kTurns) await_previous_kernel();  // which arranges units
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
    const GemmTilePlace place = place_of(p, tile, p.tile_channels);
    for (int stage = 0; stage < p.stages; ++stage) {
      for (int w = 0; w < p.window_count; ++w, at.advance(p.ring)) {
        shared.used[at.slot].wait(at.parity ^ 1);
        start_slot(p, memory, place, stage, w, at.slot);
        if (p.resident) continue;
        for (int g = p.first_group[w]; g < p.first_group[w + 1]; ++g) {
          shared.weights_used[weights_at.slot].wait(weights_at.parity ^ 1);
          start_weights(p, memory, place, stage, g, weights_at.slot);
          weights_at.advance(p.weight_ring);
        }
      }
    }
  }
}

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
  named_barrier(kMeeting, 32 * kSplitUnits);
  uint32_t largest = mine;
#pragma unroll
  for (int w = 0; w < kSplitUnits; ++w) largest = max(largest, load_shared(meeting + 4 * w));
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

// That of arranged units in f32.
__device__ __forceinline__ float inverse_scale_of(const TurnGemm& p, const GemmTilePlace& place) {
  const HalfScale scale(__ldg(p.largest + place.sample * p.groups + place.group));
  return __uint_as_float(scale.inverse_bits);
}

// The sums of a warpgroup, and its products. Sums of scaled operands are as large as the last
// window's products, whose inverse scale is theirs.
template <typename TileType>
struct TurnProducts {
  using Tile = TileType;
  static constexpr bool kFinishScales = Tile::kScales;

  const TurnGemm& p;
  const TurnMemory<Tile>& memory;
  int half;       // of a tile's rows
  int column;     // the first
  int last = -1;  // slots that will not be needed when the products under way are done
  int last_weights = -1;
  float inverse_scale = 1.0f;
  float sums[Tile::kParts][Tile::kPartColumns / 2];

  __device__ __forceinline__ TurnProducts(const TurnGemm& gemm, const TurnMemory<Tile>& shared)
      : p(gemm), memory(shared) {
    const int warpgroup = threadIdx.x / 128;
    half = warpgroup % Tile::kRowGroups;
    column = warpgroup / Tile::kRowGroups * Tile::kColumns;
  }
  __device__ __forceinline__ void release_last() {
    if (threadIdx.x % 32 == 0) {
      if (last >= 0) memory.shared->used[last].arrive();
      if (last_weights >= 0) memory.shared->weights_used[last_weights].arrive();
    }
    last = last_weights = -1;
  }
  __device__ __forceinline__ void begin_tile(const GemmTilePlace& place,
                                             const RowFinish<Tile::kScales>&) {
    if constexpr (Tile::kScales && !Tile::kTurns) inverse_scale = inverse_scale_of(p, place);
  }
  __device__ __forceinline__ void finish() {
    wgmma_wait<0>();
    release_last();
  }
  // Starts the products of tap `tap` of a slot whose windows and weights begin at these units of
  // shared memory.
  __device__ __forceinline__ void start_tap(uint32_t window, uint32_t weights, int tap,
                                            bool first) {
    constexpr uint32_t kWeightStep = Tile::kRows << 16;
    const uint32_t window_step = p.positions << 16;
    window += p.window_unit[tap];
    weights += p.weight_unit[tap];
    wgmma_fence();
#pragma unroll
    for (int unit = 0; unit < kStageUnits<Tile>; unit += 2) {
      const uint64_t a = wgmma_descriptor(weights + unit * Tile::kRows + kWeightStep);
#pragma unroll
      for (int i = 0; i < Tile::kParts; ++i) {
        const uint32_t x = window + unit * p.positions + i * Tile::kPartColumns;
        wgmma<typename Tile::Operand, Tile::kPartColumns>(
            sums[i], a, wgmma_descriptor(x + window_step), !first || unit > 0);
      }
    }
    wgmma_commit();
  }
  // Starts the products of a group of taps once `await()` has returned; their window is in slot
  // `slot`, their weights are in slot `weight_slot`. While those of the first tap are under way,
  // what the group before had is released, a window after its last group. The sums of a tile begin
  // with the first tap.
  template <typename Await>
  __device__ __forceinline__ void multiply_group(int group, int slot, int weight_slot, bool first,
                                                 bool is_last, const Await& await) {
    const uint32_t window = uniform(memory.window(p, slot) / kUnitBytes + column);
    const uint32_t weights =
        uniform(memory.weights_at(p, weight_slot) / kUnitBytes + half * kTurnHalfRows);
    int tap = uniform(p.group_tap[group]);
    const int end = uniform(p.group_tap[group + 1]);
    await();
    if constexpr (Tile::kScales && Tile::kTurns) {
      follow_scale(memory.shared->inverse_scale[slot], first);
    }
    start_tap(window, weights, tap, first);
    wgmma_wait<1>();
    release_last();
    last = is_last ? slot : -1;
    last_weights = p.resident ? -1 : weight_slot;
#pragma unroll 1
    for (++tap; tap < end; ++tap) start_tap(window, weights, tap, false);
  }
  // Brings the sums to the scale of the products that follow.
  __device__ __forceinline__ void follow_scale(float inverse, bool first) {
    const float factor = inverse_scale / inverse;
    inverse_scale = inverse;
    if (first || factor == 1.0f) return;
    wgmma_wait<0>();
#pragma unroll
    for (float& sum : sums[0]) sum *= factor;
  }
};

// The same of f32 in two parts: products of a few taps are summed by the tensor cores, which
// truncate when they add, and their sums in f32. While one warpgroup does that, the other has
// products.
template <typename TileType>
struct SplitProducts {
  using Tile = TileType;
  static constexpr bool kFinishScales = false;
  static constexpr float inverse_scale = 1.0f;
  static_assert(Tile::kParts == 1);

  const TurnGemm& p;
  const TurnMemory<Tile>& memory;
  int half;
  int column;
  float sums[1][Tile::kColumns / 2];
  float part[Tile::kColumns / 2];
  float unit_scale;     // the inverse one of arranged units
  float row_scales[2];  // of the weights' rows

  __device__ __forceinline__ SplitProducts(const TurnGemm& gemm, const TurnMemory<Tile>& shared)
      : p(gemm), memory(shared) {
    const int warpgroup = threadIdx.x / 128;
    half = warpgroup % Tile::kRowGroups;
    column = warpgroup / Tile::kRowGroups * Tile::kColumns;
  }
  __device__ __forceinline__ void begin_tile(const GemmTilePlace& place,
                                             const RowFinish<true>& finish) {
    if constexpr (!Tile::kTurns) unit_scale = inverse_scale_of(p, place);
#pragma unroll
    for (int h = 0; h < 2; ++h) row_scales[h] = finish.scale[h];
  }
  __device__ __forceinline__ void finish() const {}
  // Starts the products of a tap, of the parts of weights and x that begin at these units.
  __device__ __forceinline__ void start_parts(uint32_t window, uint32_t weights, int tap,
                                              bool first) {
    constexpr uint32_t kWeightStep = Tile::kRows << 16;
    const uint32_t window_step = p.positions << 16;
    window += p.window_unit[tap];
    weights += p.weight_unit[tap];
#pragma unroll
    for (int unit = 0; unit < kSplitUnits; unit += 2) {
      const uint64_t a = wgmma_descriptor(weights + unit * Tile::kRows + kWeightStep);
      const uint64_t b = wgmma_descriptor(window + unit * p.positions + window_step);
      wgmma<typename Tile::Operand, Tile::kColumns>(part, a, b, !first || unit > 0);
    }
  }
  // Sums the products of big parts of taps [tap, end).
  __device__ __forceinline__ void sum_big(uint32_t window, uint32_t weights, int tap, int end,
                                          float scale) {
#pragma unroll 1
    for (int i = tap; i < end; ++i) {
      wgmma_fence();
      start_parts(window, weights, i, i == tap);
      wgmma_commit();
    }
    add_part(scale);
  }
  // The same of the products with what is beside the big parts.
  __device__ __forceinline__ void sum_rest(uint32_t window, uint32_t weights, int tap, int end,
                                           float scale) {
    const uint32_t window_rest = window + kSplitUnits * p.positions;
    const uint32_t weight_rest = weights + kSplitUnits * Tile::kRows;
#pragma unroll 1
    for (int i = tap; i < end; ++i) {
      wgmma_fence();
      start_parts(window_rest, weights, i, i == tap);
      start_parts(window, weight_rest, i, false);
      wgmma_commit();
    }
    add_part(scale / kRestScale);
  }
  // Scaled back, as sums of scaled products might overflow.
  __device__ __forceinline__ void add_part(float scale) {
    const float scales[2] = {scale * row_scales[0], scale * row_scales[1]};
    wgmma_wait<0>();
#pragma unroll
    for (int i = 0; i < Tile::kColumns / 2; ++i) {
      sums[0][i] = fmaf(part[i], scales[i / 2 % 2], sums[0][i]);
    }
  }
  // As TurnProducts does, but for slots, which are released when these products are done.
  template <typename Await>
  __device__ __forceinline__ void multiply_group(int group, int slot, int weight_slot, bool first,
                                                 bool is_last, const Await& await) {
    const uint32_t window = uniform(memory.window(p, slot) / kUnitBytes + column);
    const uint32_t weights =
        uniform(memory.weights_at(p, weight_slot) / kUnitBytes + half * kTurnHalfRows);
    if (first) {
#pragma unroll
      for (float& sum : sums[0]) sum = 0.0f;
    }
    int tap = uniform(p.group_tap[group]);
    const int end = uniform(p.group_tap[group + 1]);
    await();
    const float scale = Tile::kTurns ? memory.shared->inverse_scale[slot] : unit_scale;
    sum_rest(window, weights, tap, end, scale);
#pragma unroll 1
    for (; tap < end; tap += kTapsAddedAtOnce) {
      sum_big(window, weights, tap, min(tap + kTapsAddedAtOnce, end), scale);
    }
    if (threadIdx.x % 32 == 0) {
      if (is_last) memory.shared->used[slot].arrive();
      if (!p.resident) memory.shared->weights_used[weight_slot].arrive();
    }
  }
};

template <typename Tile>
__device__ void multiply_tiles(const TurnGemm& p, const TurnMemory<Tile>& memory) {
  TurnShared& shared = *memory.shared;
  using Products =
      std::conditional_t<Tile::kOperandParts == 2, SplitProducts<Tile>, TurnProducts<Tile>>;
  Products products(p, memory);
  if (p.resident) shared.weights_loaded[0].wait(0);
  const int half = products.half;
  const uint32_t staging = memory.staging + half * Tile::kHalfBytes;
  RingPosition at, weights_at;
  uint32_t parity = 1;  // of `stored`
  RowFinish<Tile::kScales> finish(p, place_of(p, blockIdx.x, p.tile_channels), products);
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x, parity ^= 1) {
    // A block that keeps its weights keeps its rows.
    const GemmTilePlace place = place_of(p, tile, p.tile_channels);
    if (!p.resident) finish = RowFinish<Tile::kScales>(p, place, products);
    products.begin_tile(place, finish);
    for (int stage = 0; stage < p.stages; ++stage) {
      for (int w = 0; w < p.window_count; ++w, at.advance(p.ring)) {
        const int end = p.first_group[w + 1];
        for (int g = p.first_group[w]; g < end; ++g) {
          const int weight_slot = p.resident ? stage : weights_at.slot;
          products.multiply_group(g, at.slot, weight_slot, stage == 0 && g == 0, g + 1 == end, [&] {
            if (!p.resident) shared.weights_loaded[weights_at.slot].wait(weights_at.parity);
            (Tile::kTurns ? shared.turned : shared.loaded)[at.slot].wait(at.parity);
          });
          if (!p.resident) weights_at.advance(p.weight_ring);
        }
      }
    }
    products.finish();
#pragma unroll
    for (auto& sums : products.sums) {
      finish.template apply<Products::kFinishScales>(p, products.inverse_scale, sums);
    }
    shared.stored[half].wait(parity);
    stage_tile(p, place_of(p, tile, p.tile_channels), products, staging);
    fence_proxy_async();
    shared.staged[half].arrive();
  }
}

// The storing warps.
template <typename Tile>
__device__ void store_tiles(const TurnGemm& p, const TurnMemory<Tile>& memory, int warp) {
  uint32_t parity = 0;
  for (int64_t tile = blockIdx.x; tile < p.tiles; tile += gridDim.x, parity ^= 1) {
    const GemmTilePlace place = place_of(p, tile, p.tile_channels);
    for (int half = 0; half < Tile::kRowGroups; ++half) {
      const int row = place.row + half * p.half_channels;
      const uint32_t staging = memory.staging + half * Tile::kHalfBytes;
      memory.shared->staged[half].wait(parity);
      if (p.phases == 1) {
        store_rows<Tile, false>(p, place, row, staging, warp, Tile::kStoringWarps);
      } else {
        store_rows<Tile, true>(p, place, row, staging, warp, Tile::kStoringWarps);
      }
      memory.shared->stored[half].arrive();
    }
  }
}

template <typename Tile>
__device__ __forceinline__ void init_barriers(TurnShared& shared) {
  constexpr int kWarps = Tile::kMultipliers / 32;
  for (int i = 0; i < kMostTurnRing; ++i) {
    shared.loaded[i].init(1);
    shared.turned[i].init(Tile::kTurningWarps);
    shared.used[i].init(kWarps);
    shared.weights_loaded[i].init(1);
    shared.weights_used[i].init(kWarps);
  }
  for (int half = 0; half < 2; ++half) {
    shared.staged[half].init(Tile::kMultipliers / Tile::kRowGroups);
    shared.stored[half].init(32 * Tile::kStoringWarps);
  }
  fence_barrier_init();
}

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    turn_gemm_sm90_kernel(const __grid_constant__ TurnGemm p) {
#if ENGINE_SM90A_CODE  // the table only offers the kernel where its code is sm_90a's
  const TurnMemory<Tile> memory(p, Tile::kRowGroups * Tile::kHalfBytes, dynamic_shared());
  if (threadIdx.x == 0) init_barriers<Tile>(*memory.shared);
  __syncthreads();
  if (threadIdx.x < Tile::kMultipliers) {
    take_registers<Tile::kMultiplierRegisters>();
    multiply_tiles<Tile>(p, memory);
    return;
  }
  give_up_registers<Tile::kOtherRegisters>();
  const int warp = static_cast<int>(uniform((threadIdx.x - Tile::kMultipliers) / 32));
  const int storing_warp = warp - 1 - Tile::kTurningWarps;
  if (storing_warp >= Tile::kStoringWarps) return;
  if (storing_warp >= 0) {
    store_tiles<Tile>(p, memory, storing_warp);
  } else if (warp > 0) {
    if constexpr (Tile::kTurns && Tile::kScales) {
      scale_windows<Tile>(p, memory, warp - 1);
    } else if constexpr (Tile::kTurns) {
      turn_windows<Tile>(p, memory, warp - 1);
    }
  } else {
    if (p.resident && threadIdx.x % 32 == 0) {
      load_resident_weights(p, p.stages, memory.shared->weights_loaded[0], memory.weights);
    }
    __syncwarp();
    copy_stages<Tile>(p, memory);
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
  launch(turn_gemm_sm90_kernel<Tile>, config, gemm);
}

template <typename T, int kParts, TurnSource kSource, int kRows, int kColumns>
TurnKernel turn_kernel_sm90() {
  constexpr int64_t kSharedBytes = 227 * 1024;
  using Tile = TurnTile<T, kParts, kSource, kRows, kColumns>;
  return {{kSource, kRows, kColumns}, kSharedBytes - kTurnSharedBytes, launch_turn_gemm<Tile>};
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
  if constexpr (sizeof(T) == 2) {
    kernels.push_back(turn_kernel_sm90<T, kParts, TurnSource::kUnits, 128, 192>());
  }
  return kernels;
}

}  // namespace engine::cuda
