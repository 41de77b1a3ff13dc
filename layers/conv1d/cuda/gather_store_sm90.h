// How the sums of the Hopper GEMM that gathers its operands leave the registers: finished, they go
// to shared memory as they lie in y, a chunk of rows after the other, from where other warps have
// the copy engine store them.
//
// A warpgroup holds sums as wgmma leaves them, with columns (positions) as wgmma's rows: thread
// t + 4 g of warp w has, of block b, for j < kRows / 8 and h, e < 2, sum[4 j + 2 h + e] = column
// 64 b + 16 w + g + 8 h of row 8 j + 2 t + e. A line is what a tile has of one channel of y: of
// every column its phases, one after the other. A chunk has the lines of 32 rows.
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/output_row.h"

namespace engine::cuda {

/// The chunks in shared memory, for tiles of kColumns columns.
template <typename T, int kColumns>
struct LineChunks {
  static constexpr int kRows = 32;  // of a chunk
  static constexpr int kUnit = 16 / sizeof(T);
  static constexpr int kPitch = kColumns + kUnit;  // elements of a row: its share of a line
  static constexpr int kBytes = kRows * kPitch * sizeof(T);

  /// Chunks that hold rows of the group, of a tile of `rows` rows from `row` on.
  static __device__ __forceinline__ int used(const ImplicitGemm& p, int row, int rows) {
    return (min(rows, p.group_rows - row) + kRows - 1) / kRows;
  }
};

/// The chunks' barriers: full of sums, and empty again. Both sides count chunks.
struct ChunkBarriers {
  Barrier full[2];
  Barrier empty[2];
};

/// Where a tile's column 0 lies in the lines of its group's channels.
struct LineStart {
  int64_t row;    ///< of channel 0 of the group, counted in all rows of y
  int64_t first;  ///< element of the row

  __device__ __forceinline__ LineStart(const ImplicitGemm& p, const GemmTilePlace& place)
      : row(place.sample * p.out_channels + place.group * p.group_outputs),
        first(place.column * p.phases) {}

  __device__ __forceinline__ int64_t element(const ImplicitGemm& p, int channel) const {
    return (row + channel) * p.out_length + first;
  }
  /// Elements from the 16-byte boundary at or before it.
  template <typename T>
  __device__ __forceinline__ int shift(const ImplicitGemm& p, int channel) const {
    constexpr uint32_t kUnit = 16 / sizeof(T);
    const auto base = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p.y) / sizeof(T));
    return (base + (static_cast<uint32_t>(row) + channel) * static_cast<uint32_t>(p.out_length) +
            static_cast<uint32_t>(first)) &
           (kUnit - 1);
  }
};

/// Elements of a line that its tile stores. Tiles that overlap meet at sectors of 32 bytes.
template <typename T>
struct LineEnds {
  int low = 0;
  int high;

  __device__ __forceinline__ LineEnds(const ImplicitGemm& p, const GemmTilePlace& place,
                                      const T* start, int columns) {
    constexpr int kSector = 32 / sizeof(T);
    const int phase = static_cast<int>(reinterpret_cast<uintptr_t>(start) % 32 / sizeof(T));
    const auto next_sector = [&](int at) { return at + (-(phase + at) & (kSector - 1)); };
    const int64_t left = p.out_length - place.column * p.phases;
    high = static_cast<int>(min(left, static_cast<int64_t>(columns) * p.phases));
    if (p.advance < columns) {
      if (!place.first_of_sample) low = next_sector(0);
      if (!place.last_of_sample) high = min(high, next_sector(p.advance * p.phases));
    }
  }
};

/// The copy of a line to `y`, whose column 0 is at `values`. The few elements before and behind its
/// whole units of 16 bytes are stored one by one.
template <typename T>
__device__ __forceinline__ BulkCopy store_line(const ImplicitGemm& p, const GemmTilePlace& place,
                                               T* y, int columns, const T* values) {
  constexpr int kUnit = 16 / sizeof(T);
  const int shift = static_cast<int>(reinterpret_cast<uintptr_t>(y) % 16 / sizeof(T));
  const LineEnds<T> ends(p, place, y, columns);
  const int low = ((shift + ends.low + kUnit - 1) & ~(kUnit - 1)) - shift;
  const int high = max(((shift + ends.high) & ~(kUnit - 1)) - shift, low);
  for (int i = ends.low; i < min(low, ends.high); ++i) y[i] = values[i];
  for (int i = max(high, ends.low); i < ends.high; ++i) y[i] = values[i];
  return {shared_address(values + low), (high - low) * static_cast<uint32_t>(sizeof(T)),
          reinterpret_cast<const char*>(y + low)};
}

/// What line `line` of a chunk is.
template <typename T, int kColumns>
struct ChunkLine {
  using Chunks = LineChunks<T, kColumns>;

  int channel;  ///< of the group
  int offset;   ///< of its column 0, from the chunk's first element

  __device__ __forceinline__ ChunkLine(const ImplicitGemm& p, const GemmTilePlace& place,
                                       const LineStart& start, int chunk, int line) {
    const int eight = p.phases == 1 ? line / 8 : line / p.row_channels;
    channel = (place.row + chunk * Chunks::kRows) / 8 * p.row_channels + line;
    offset = eight * 8 * Chunks::kPitch +
             (line - eight * p.row_channels) * (kColumns * p.phases + Chunks::kUnit) +
             start.shift<T>(p, channel);
  }
};

/// The share of a warp of those that store a chunk's lines.
struct LineShare {
  int first;
  int count;

  __device__ __forceinline__ LineShare(int lines, int storer, int storers) {
    const int share = (lines + storers - 1) / storers;
    first = storer * share;
    count = max(0, min(share, lines - first));
  }
};

/// Whether what a tile stores of every line is whole units of 16 bytes, the same number for all.
template <typename T>
__device__ __forceinline__ bool has_whole_lines(const ImplicitGemm& p, const GemmTilePlace& place,
                                                const LineStart& start, int columns) {
  if (p.phases > 1 || place.first_of_sample || p.out_length - start.first < columns) return false;
  const int64_t row_bytes = p.out_length * static_cast<int64_t>(sizeof(T));
  const int64_t first = start.first * static_cast<int64_t>(sizeof(T));
  return p.advance < columns ||
         ((row_bytes | first) % 16 == 0 && reinterpret_cast<uintptr_t>(p.y) % 16 == 0);
}

/// Stores lines of one chunk of a tile that has whole lines: `y` is column 0 of the first, which is
/// at `values` but for its shift. Every lane computes the same.
template <typename Tile>
__device__ __forceinline__ void store_whole_lines(const ImplicitGemm& p, const char* y, int lines,
                                                  uint32_t values) {
  constexpr int kBytes = sizeof(typename Tile::T);
  constexpr uint32_t kPitch = LineChunks<typename Tile::T, Tile::kColumns>::kPitch * kBytes;
  const int64_t row_bytes = p.out_length * kBytes;
  const bool overlap = p.advance < Tile::kColumns;
  const uint32_t bytes = p.advance * kBytes;
#pragma unroll 8
  for (int line = 0; line < lines; ++line, y += row_bytes, values += kPitch) {
    const auto address = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(y));
    const uint32_t to_sector = overlap ? -address & 31 : 0;
    bulk_store_warp({values + (address & 15) + to_sector, bytes, y + to_sector});
  }
}

/// Stores what is warp `storer`'s of the chunks of one tile. `chunk` counts chunks.
template <typename Tile>
__device__ __forceinline__ void store_chunks(const ImplicitGemm& p, const GemmTilePlace& place,
                                             int storer, const typename Tile::T* staging,
                                             ChunkBarriers& barriers, uint32_t& chunk) {
  using T = typename Tile::T;
  using Chunks = LineChunks<T, Tile::kColumns>;
  const int lane = threadIdx.x % 32;
  const int used = Chunks::used(p, place.row, Tile::kRows);
  const LineShare share(Chunks::kRows / 8 * p.row_channels, storer, Tile::kStorers);
  const LineStart start(p, place);
  const bool whole = has_whole_lines<T>(p, place, start, Tile::kColumns);
  T* y = static_cast<T*>(p.y);
  for (int c = 0; c < used; ++c, ++chunk) {
    const uint32_t slot = chunk % 2;
    const T* values = staging + slot * (Chunks::kBytes / sizeof(T));
    barriers.full[slot].wait(chunk / 2 % 2);
    if (whole) {
      const int channel = place.row + c * Chunks::kRows + share.first;
      store_whole_lines<Tile>(
          p, reinterpret_cast<const char*>(y + start.element(p, channel)),
          min(share.count, p.group_outputs - channel),
          shared_address(values) + share.first * Chunks::kPitch * static_cast<int>(sizeof(T)));
    } else {
      BulkCopy mine{};
      const ChunkLine<T, Tile::kColumns> line(p, place, start, c, share.first + lane);
      if (lane < share.count && line.channel < p.group_outputs) {
        mine = store_line<T>(p, place, y + start.element(p, line.channel), Tile::kColumns,
                             values + line.offset);
      }
      bulk_store_lanes(mine, share.count);
    }
    commit_bulk_stores();
    wait_for_bulk_reads<1>();
    __syncwarp();
    if (chunk > 0 && lane == 0) barriers.empty[1 - slot].arrive();
  }
}

/// Adds the bias to a thread's sums of a tile, and applies the activation. kPhased: a column has
/// several phases, so that eights of rows may hold fewer channels.
template <typename Tile, bool kPhased, int kSums>
__device__ __forceinline__ void finish_gathered_sums(const ImplicitGemm& p,
                                                     const GemmTilePlace& place,
                                                     float (&sum)[Tile::kBlocks][kSums]) {
  const int t = threadIdx.x % 4;
  const float* bias = p.epilogue.bias;
  if (bias != nullptr) {
    const auto channel_of = [&](int n) {
      return kPhased ? n / 8 * p.row_channels + n % 8 / p.phases : n;
    };
    bias += place.group * p.group_outputs;
#pragma unroll
    for (int j = 0; j < Tile::kRows / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int channel = min(channel_of(place.row + 8 * j + 2 * t + e), p.group_outputs - 1);
        const float added = __ldg(bias + channel);
#pragma unroll
        for (int v = 0; v < 2 * Tile::kBlocks; ++v) sum[v / 2][4 * j + 2 * (v % 2) + e] += added;
      }
    }
  }
  if (p.epilogue.activation.kind != Activation::Kind::kIdentity) {
    const Bend bend(p.epilogue.activation);
#pragma unroll
    for (int b = 0; b < Tile::kBlocks; ++b) bend.apply(sum[b]);
  }
}

/// Puts what a thread has of the eights of rows from `eight` on, counted in the tile, to `values`.
template <typename Tile, bool kPhased, int kSums>
__device__ __forceinline__ void stage_lines(const ImplicitGemm& p, const GemmTilePlace& place,
                                            const LineStart& start, int eight, int column,
                                            const float (&sum)[Tile::kBlocks][kSums],
                                            typename Tile::T* values) {
  using T = typename Tile::T;
  using Chunks = LineChunks<T, Tile::kColumns>;
  const int t = threadIdx.x % 4;
#pragma unroll
  for (int e = 0; e < 2; ++e) {
    const int n = 2 * t + e;
    const int phases = kPhased ? p.phases : 1;
    const int line = kPhased ? n / phases : n;
    const int channels = kPhased ? p.row_channels : 8;
    if (kPhased && line >= channels) continue;
    T* row = values + line * (Tile::kColumns * phases + Chunks::kUnit) + n - line * phases +
             column * phases;
    const int channel = place.row / 8 * channels + line;
    int shift = start.shift<T>(p, channel);
#pragma unroll
    for (int i = 0; i < Chunks::kRows / 8; ++i) {
      // Eight rows of y are a multiple of 16 bytes.
      if (kPhased) shift = start.shift<T>(p, channel + (eight + i) * channels);
#pragma unroll
      for (int v = 0; v < 2 * Tile::kBlocks; ++v) {
        row[i * 8 * Chunks::kPitch + shift + (64 * (v / 2) + 8 * (v % 2)) * phases] =
            from_float<T>(sum[v / 2][4 * (eight + i) + 2 * (v % 2) + e]);
      }
    }
  }
}

/// Finishes a thread's sums of one tile and hands them over to the storing warps. `column` is
/// the thread's first of the tile.
template <typename Tile, bool kPhased, int kSums>
__device__ __forceinline__ void finish_tile(const ImplicitGemm& p, const GemmTilePlace& place,
                                            float (&sum)[Tile::kBlocks][kSums], int column,
                                            typename Tile::T* staging, ChunkBarriers& barriers,
                                            uint32_t& chunk) {
  using T = typename Tile::T;
  using Chunks = LineChunks<T, Tile::kColumns>;
  const int used = Chunks::used(p, place.row, Tile::kRows);
  const LineStart start(p, place);
  finish_gathered_sums<Tile, kPhased>(p, place, sum);
#pragma unroll
  for (int c = 0; c < Tile::kRows / Chunks::kRows; ++c) {
    if (c >= used) break;
    const uint32_t slot = chunk % 2;
    barriers.empty[slot].wait((chunk / 2 % 2) ^ 1);
    stage_lines<Tile, kPhased>(p, place, start, c * (Chunks::kRows / 8), column, sum,
                               staging + slot * (Chunks::kBytes / sizeof(T)));
    fence_proxy_async();
    __syncwarp();
    if (threadIdx.x % 32 == 0) barriers.full[slot].arrive();
    ++chunk;
  }
}

}  // namespace engine::cuda
