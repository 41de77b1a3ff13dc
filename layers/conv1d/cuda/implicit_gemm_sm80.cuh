// Conv1d and ConvTranspose1d as an implicit matrix product by mma.sync, for Ampere and later:
//   y[b, g M + m, q R + r] = f(bias + sum over c, u of W[(m, r), (c, u)] * x[b, g C + c,
//                                                       q stride + first + u spacing])
// x and y are NCL; W is packed at load time. GEMM: M = rows (m, r), N = columns q, K = (c, u);
// GemmPlan says how tiles and stages are cut.
//
// Threads: 4 warps of 16 kFragments rows x all columns of a tile of up to 128 x 128 (fp32: 128 x
//   64, where 128 x 128 sums do not leave registers enough for both parts). All load and multiply:
//   while a stage is multiplied, the next one comes, also that of the next tile: weights by
//   cp.async, x through registers in pieces of kItems items a thread, each between two parts of the
//   products. An item is a unit of 16 bytes of K for two neighbouring positions; loads run along
//   the length (coalesced, any alignment, any padding) and are rounded to TF32 where that is the
//   precision. ldmatrix reads both operands: 8 rows of units are a fragment at every row, so one
//   window with its halo serves all taps, whatever stride and dilation are.
// Shared memory: two stages, each a window of x and the stage's weights, at most 80 KB, so that two
//   blocks fit a multiprocessor of an A100 or H100 and one fits smaller chips. A tile is stored
//   through the stage that was multiplied last (store_fragment.h).
// Bytes: x is read by every tile of rows (from L2 but for the first, since these tiles run
//   together) with its halo, weights by every tile, y is written once.
// Precision: TF32, f16, bf16 with f32 sums. With kParts = 2, f32 operands are split into two TF32
//   parts and three products are summed, the small ones first; the sums of 8 of K are added to the
//   total in f32, because tensor cores truncate when they add.
// Requires: implicit_gemm_allows(), and two stages that fit.
// Limits: the latency of instructions, which loads, products and stores wait for in turn: mma.sync
//   by itself does 323 TFLOP/s in TF32 on an H200, where 64 -> 128 channels with 3 taps get 30% of
//   the roofline and 256 -> 256 with 11 taps 43%. Few columns or few rows leave parts of tiles
//   empty. On Ampere it has not been timed.
#pragma once

#include <type_traits>

#include "engine/cuda/device_access.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/mma_sync.h"
#include "engine/cuda/shared_address.h"
#include "layers/conv1d/cuda/copy_async.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/implicit_gemm_sm80.h"
#include "layers/conv1d/cuda/store_fragment.h"
#include "layers/conv1d/cuda/window_units.h"

namespace engine::cuda {

/// Shared memory of a block's two stages.
inline constexpr int64_t kSm80SharedBytes = 80 * 1024;

template <typename Element, int kFragmentCount, int kColumnCount, int kPartCount>
struct Sm80Tile {
  using T = Element;
  // 16-bit values travel as bits.
  using Raw = std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>;
  static constexpr int kWarps = 4;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kFragments = kFragmentCount;  // of 16 rows, of a warp
  static constexpr int kColumns = kColumnCount;
  static constexpr int kParts = kPartCount;
  static constexpr int kRows = 16 * kWarps * kFragments;
  static constexpr int kSums = kColumns / 2;  // of a thread and fragment
  static constexpr int kStagingBytes = kWarps * cuda::kStagingBytes<kColumns>;
  static constexpr int kBlocks = kFragments * kColumns >= 128 ? 2 : 3;  // of a multiprocessor
  // Of a thread and piece.
  static constexpr int kItems = kParts == 2 ? 1 : 2;
};

/// How an item is loaded.
enum class Sm80Items {
  kPairs,   // two positions at once, from rows that begin at even elements
  kSingle,  // positions one by one
  kAny,     // elements one by one, each with a position of its own
};

/// How a block loads a window.
struct Sm80Loads {
  Sm80Items items;
  int positions;   // of an item: one where 16-bit elements are loaded one by one
  int unit_items;  // of a unit of channels
  SmallDivide by_unit_items;
  int all_items;
  int pieces;
  int piece_steps;  // of the products, for each piece
  int slot_bytes;   // of a stage
};

inline constexpr int kItemWords = 8;

/// Which unit and slots an item is.
struct Sm80Item {
  bool exists;
  int unit;
  int slot;  // the first

  __device__ __forceinline__ Sm80Item(const Sm80Loads& loads, int index, int lead)
      : exists(index < loads.all_items),
        unit(loads.by_unit_items.quotient(index)),
        slot((index - unit * loads.unit_items) * loads.positions - lead) {}
};

/// The first slot of an item may lie before the window, where pairs begin at even positions.
template <typename Raw>
__device__ __forceinline__ int lead_of(const Sm80Loads& loads, const Window<Raw>& window) {
  return loads.items == Sm80Items::kPairs ? static_cast<int>(window.position & 1) : 0;
}

/// An element of a window of any kind.
template <typename Raw>
__device__ __forceinline__ uint32_t load_any(const ImplicitGemm& p, const Window<Raw>& window,
                                             const Sm80Item& item, int slot, int e) {
  const uint32_t row = p.by_residues.quotient(slot);
  const int channel = item.unit * p.unit_channels + (e >> p.log_unit_taps);
  int64_t position = window.position + row * p.stride + p.residue[slot - row * p.residues] +
                     (e & (p.unit_taps - 1)) * p.spacing;
  if (p.padding_mode != PaddingMode::kZeros) {
    position = padded_source(position, p.in_length, p.padding_mode);
  }
  return load_bits_or_zero(
      window.x + channel * p.in_length + position,
      item.exists && slot < p.slots && channel < window.channels && inside(p, position));
}

/// Loads an item into registers: the words of f32 elements are [channel][position], those of 16-bit
/// elements [channel], holding one or two positions.
template <typename Raw>
__device__ __forceinline__ void load_item(const ImplicitGemm& p, const Sm80Loads& loads,
                                          const Window<Raw>& window, const Sm80Item& item,
                                          uint32_t (&words)[kItemWords]) {
  constexpr int kElements = kUnitElements<Raw>;
  constexpr int kPositions = kItemWords / kElements;
  if (loads.items == Sm80Items::kAny) {
#pragma unroll
    for (int i = 0; i < kItemWords; ++i) {
      // A slot beyond the last has no residue.
      const int slot = min(item.slot + i % kPositions, p.slots);
      words[i] = load_any(p, window, item, slot, i / kPositions);
    }
    return;
  }
  const int64_t position = window.position + item.slot;
  const int channels = item.exists ? window.channels - item.unit * kElements : 0;
  const Raw* source = window.x + int64_t{item.unit} * kElements * p.in_length + position;
  if (loads.items == Sm80Items::kPairs) {
    const bool exists = inside(p, position);
#pragma unroll
    for (int e = 0; e < kElements; ++e, source += p.in_length) {
      if constexpr (kPositions == 1) {
        words[e] =
            load_bits_or_zero(reinterpret_cast<const uint32_t*>(source), exists && e < channels);
      } else {
        const float2 pair =
            load_pair_or_zero(reinterpret_cast<const float*>(source), exists && e < channels);
        words[2 * e] = __float_as_uint(pair.x);
        words[2 * e + 1] = __float_as_uint(pair.y);
      }
    }
    return;
  }
#pragma unroll
  for (int e = 0; e < kElements; ++e, source += p.in_length) {
#pragma unroll
    for (int i = 0; i < kPositions; ++i) {
      words[e * kPositions + i] =
          load_bits_or_zero(source + i, inside(p, position + i) && e < channels);
    }
  }
}

/// Puts an item's units into the window at `target`.
template <typename Tile>
__device__ __forceinline__ void store_item(const ImplicitGemm& p, const Sm80Loads& loads,
                                           const Sm80Item& item,
                                           const uint32_t (&words)[kItemWords], uint4* target) {
  // An item that does not exist goes nowhere, as slots that do not.
  const int slot = item.exists ? item.slot : p.slots;
  if constexpr (sizeof(typename Tile::T) == 4) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const SlotPlace place(p, slot + i);
      float values[4];
#pragma unroll
      for (int e = 0; e < 4; ++e) values[e] = __uint_as_float(words[2 * e + i]);
      store_unit<Tile::kParts>(values, target + place.first + item.unit * p.unit_pitch,
                               p.stage_units * p.unit_pitch, place.exists);
    }
  } else {
    const auto halves = [&](uint32_t which) {
      return uint4{__byte_perm(words[0], words[1], which), __byte_perm(words[2], words[3], which),
                   __byte_perm(words[4], words[5], which), __byte_perm(words[6], words[7], which)};
    };
    const SlotPlace place(p, slot);
    store_shared_16_if(target + place.first + item.unit * p.unit_pitch, halves(0x5410),
                       place.exists);
    if (loads.positions == 2) {
      const SlotPlace next(p, slot + 1);
      store_shared_16_if(target + next.first + item.unit * p.unit_pitch, halves(0x7632),
                         next.exists);
    }
  }
}

/// Walks the stages of a block's tiles.
template <typename Tile>
struct Sm80Cursor {
  using Raw = typename Tile::Raw;

  int64_t tile = blockIdx.x;
  int channel_stage = 0;
  int tap_stage = 0;
  const Raw* x;         // channel 0 of the group
  int64_t position;     // in x, of the tile's slot 0
  const char* weights;  // of the stage

  __device__ __forceinline__ explicit Sm80Cursor(const ImplicitGemm& p) { enter(p); }

  __device__ __forceinline__ void enter(const ImplicitGemm& p) {
    const GemmTilePlace place = place_of(p, tile, Tile::kRows);
    x = static_cast<const Raw*>(p.x) +
        (place.sample * p.in_channels + place.group * p.channels) * p.in_length;
    position = place.column * p.stride + p.first;
    weights = static_cast<const char*>(p.weights) +
              int64_t{place.weight_block} * p.channel_stages * p.tap_stages * p.weight_bytes;
  }

  /// Goes to the next stage; whether that is one of the same tile.
  __device__ __forceinline__ bool advance(const ImplicitGemm& p) {
    weights += p.weight_bytes;
    if (++tap_stage < p.tap_stages) return true;
    tap_stage = 0;
    if (++channel_stage < p.channel_stages) return true;
    channel_stage = 0;
    tile += gridDim.x;
    if (tile < p.tiles) enter(p);
    return false;
  }

  __device__ __forceinline__ Window<Raw> window(const ImplicitGemm& p) const {
    const int first_channel = channel_stage * p.stage_units * p.unit_channels;
    return {x + first_channel * p.in_length, position + tap_stage * p.stage_shift,
            p.channels - first_channel};
  }
};

template <typename Tile>
__device__ __forceinline__ void start_weights(const ImplicitGemm& p, const char* source,
                                              char* target) {
  for (int at = threadIdx.x * 16; at < p.weight_bytes; at += Tile::kThreads * 16) {
    copy_async_16(target + at, source + at);
  }
}

/// A piece of a window on its way through a thread's registers.
template <typename Tile>
struct Sm80Piece {
  uint32_t words[Tile::kItems][kItemWords];

  __device__ __forceinline__ static int index(int piece, int i) {
    return (piece * Tile::kItems + i) * Tile::kThreads + static_cast<int>(threadIdx.x);
  }
  __device__ __forceinline__ void load(const ImplicitGemm& p, const Sm80Loads& loads,
                                       const Window<typename Tile::Raw>& window, int piece) {
#pragma unroll
    for (int i = 0; i < Tile::kItems; ++i) {
      load_item(p, loads, window, {loads, index(piece, i), lead_of(loads, window)}, words[i]);
    }
  }
  __device__ __forceinline__ void store(const ImplicitGemm& p, const Sm80Loads& loads,
                                        const Window<typename Tile::Raw>& window, int piece,
                                        char* slot) const {
#pragma unroll
    for (int i = 0; i < Tile::kItems; ++i) {
      store_item<Tile>(p, loads, {loads, index(piece, i), lead_of(loads, window)}, words[i],
                       reinterpret_cast<uint4*>(slot));
    }
  }
};

/// The sums of a warp.
template <typename Tile>
using Sm80Sums = float[Tile::kFragments][Tile::kSums];

template <typename Tile>
__device__ __forceinline__ void clear(Sm80Sums<Tile>& sum) {
#pragma unroll
  for (int m = 0; m < Tile::kFragments; ++m) {
#pragma unroll
    for (int i = 0; i < Tile::kSums; ++i) sum[m][i] = 0.0f;
  }
}

/// Adds the products of steps [begin, end) of the stage at shared address `slot`.
template <typename Tile>
__device__ __forceinline__ void multiply_steps(const ImplicitGemm& p, uint32_t slot, int begin,
                                               int end, Sm80Sums<Tile>& sum) {
  using T = typename Tile::T;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  // What this lane reads of a: rows of the first unit, then of the second. Of b: columns 0 to 7 of
  // both units, then columns 8 to 15.
  const uint32_t weights =
      slot + p.window_bytes +
      (lane / 16 * Tile::kRows + warp * 16 * Tile::kFragments + lane % 16) * kUnitBytes;
  const uint32_t columns = slot + (lane / 16 * 8 + lane % 8) * kUnitBytes;
  const uint32_t second = lane / 8 % 2;
  const uint32_t small_weights = p.steps * 2 * Tile::kRows * kUnitBytes;
  const uint32_t small_window = p.stage_units * p.unit_pitch * kUnitBytes;
#pragma unroll 1
  for (int s = begin; s < end; ++s) {
    uint32_t a[Tile::kParts][Tile::kFragments][4];
#pragma unroll
    for (int part = 0; part < Tile::kParts; ++part) {
#pragma unroll
      for (int m = 0; m < Tile::kFragments; ++m) {
        load_matrices(a[part][m],
                      weights + part * small_weights + (s * 2 * Tile::kRows + 16 * m) * kUnitBytes);
      }
    }
    const uint32_t window =
        columns + ((p.step[s] & 0xffff) + second * (p.step[s] >> 16)) * kUnitBytes;
#pragma unroll
    for (int n = 0; n < Tile::kColumns; n += 16) {
      uint32_t b[Tile::kParts][4];
#pragma unroll
      for (int part = 0; part < Tile::kParts; ++part) {
        load_matrices(b[part], window + part * small_window + n * kUnitBytes);
      }
#pragma unroll
      for (int m = 0; m < Tile::kFragments; ++m) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          float* total = sum[m] + (n + 8 * j) / 2;
          if constexpr (Tile::kParts == 1) {
            multiply_matrices<T>(total, a[0][m], b[0][2 * j], b[0][2 * j + 1]);
          } else {
            float part[4] = {};
            multiply_matrices<T>(part, a[1][m], b[0][2 * j], b[0][2 * j + 1]);
            multiply_matrices<T>(part, a[0][m], b[1][2 * j], b[1][2 * j + 1]);
            multiply_matrices<T>(part, a[0][m], b[0][2 * j], b[0][2 * j + 1]);
#pragma unroll
            for (int i = 0; i < 4; ++i) total[i] += part[i];
          }
        }
      }
    }
  }
}

/// Finishes and stores a warp's part of a tile through `memory`.
template <typename Tile>
__device__ __forceinline__ void store_sums(const ImplicitGemm& p, const GemmTilePlace& at,
                                           const Sm80Sums<Tile>& sum, char* memory) {
  constexpr int kColumns = Tile::kColumns;
  using T = typename Tile::T;
  const int warp = threadIdx.x / 32;
  const Staging<kColumns> staging(memory + warp * cuda::kStagingBytes<kColumns>);
  FragmentPlace place{at.sample,
                      at.column,
                      at.group * p.group_outputs,
                      at.row + warp * 16 * Tile::kFragments,
                      at.first_of_sample,
                      at.last_of_sample};
  int shift = 0;
  bool whole = false;
#pragma unroll 1
  for (int eight = 0; eight < 2 * Tile::kFragments && place.row < p.group_rows; ++eight) {
    const int h = eight % 2;
    if (h == 0) whole = describe_rows<kColumns, kHalves<kColumns>, T>(p, place, staging.rows, shift);
#pragma unroll
    for (int i = 0; i < 2 * Tile::kFragments; ++i) {
      if (i == eight)
        stage_rows<kColumns, 0>(p, shift, 8 * (i % 2), i % 2, sum[i / 2], staging.values);
    }
    __syncwarp();
    if (is_bend(p.epilogue.activation) && is_bend(p.epilogue.residual_activation)) {
      store_staged<kColumns, T, true>(p, place, 8 * h, whole, staging);
    } else {
      store_staged<kColumns, T, false>(p, place, 8 * h, whole, staging);
    }
    __syncwarp();
    if (h == 1) place.row += 16;
  }
}

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    implicit_gemm_sm80_kernel(const __grid_constant__ ImplicitGemm p,
                              const __grid_constant__ Sm80Loads loads) {
  char* shared = dynamic_shared();
  Sm80Cursor<Tile> next(p);  // the stage that is loaded
  Sm80Sums<Tile> sum = {};
  int64_t tile = 0;   // of the stage that is multiplied
  int steps = 0;      // of that stage: none at first
  bool last = false;  // whether the tile has no other
  for (int now = 0;; now ^= 1) {
    char* slot = shared + now * loads.slot_bytes;
    char* next_slot = shared + (now ^ 1) * loads.slot_bytes;
    const bool exists = next.tile < p.tiles;
    const auto window = next.window(p);
    if (exists) start_weights<Tile>(p, next.weights, next_slot + p.window_bytes);
#pragma unroll 1
    for (int i = 0; i < loads.pieces; ++i) {
      Sm80Piece<Tile> piece;
      if (exists) piece.load(p, loads, window, i);
      const int begin = i * loads.piece_steps;
      multiply_steps<Tile>(p, shared_address(slot), begin, min(begin + loads.piece_steps, steps),
                           sum);
      if (exists) piece.store(p, loads, window, i, next_slot);
    }
    wait_for_copies();
    __syncthreads();
    if (last) {
      store_sums<Tile>(p, place_of(p, tile, Tile::kRows), sum, slot);
      clear<Tile>(sum);
      __syncthreads();
    }
    if (!exists) return;
    tile = next.tile;
    steps = p.steps;
    last = !next.advance(p);
  }
}

template <typename Tile>
Sm80Loads sm80_loads(const ImplicitGemm& p) {
  Sm80Loads loads;
  loads.items = !p.contiguous ? Sm80Items::kAny
                : p.even_rows ? Sm80Items::kPairs
                              : Sm80Items::kSingle;
  loads.positions = sizeof(typename Tile::T) == 4 || loads.items == Sm80Items::kPairs ? 2 : 1;
  // One more than half of the slots, since the first pair may begin before them.
  loads.unit_items = loads.positions == 2 ? p.slots / 2 + 1 : p.slots;
  loads.by_unit_items = SmallDivide(loads.unit_items);
  loads.all_items = loads.unit_items * p.stage_units;
  const int piece_items = Tile::kItems * Tile::kThreads;
  loads.pieces = (loads.all_items + piece_items - 1) / piece_items;
  loads.piece_steps = (p.steps + loads.pieces - 1) / loads.pieces;
  const int stage_bytes = p.window_bytes + p.weight_bytes;
  loads.slot_bytes = stage_bytes > Tile::kStagingBytes ? stage_bytes : Tile::kStagingBytes;
  return loads;
}

template <typename Tile>
void launch_sm80(const ImplicitGemm& gemm, int64_t, int64_t blocks, CudaStream stream) {
  const Sm80Loads loads = sm80_loads<Tile>(gemm);
  LaunchConfig config{"implicit_gemm_sm80", blocks};
  config.block = Tile::kThreads;
  config.shared_bytes = int64_t{2} * loads.slot_bytes;
  config.stream = stream;
  launch(implicit_gemm_sm80_kernel<Tile>, config, gemm, loads);
}

template <typename T, int kFragments, int kColumns, int kParts>
Sm80Kernel sm80_kernel() {
  using Tile = Sm80Tile<T, kFragments, kColumns, kParts>;
  Sm80Kernel kernel;
  kernel.tile = {Tile::kRows, kColumns, kStagedColumns<kColumns>, kParts, kSm80SharedBytes, 2};
  kernel.blocks = Tile::kBlocks;
  kernel.launch = launch_sm80<Tile>;
  return kernel;
}

}  // namespace engine::cuda
