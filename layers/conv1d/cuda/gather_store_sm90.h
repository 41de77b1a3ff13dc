// How the sums of the Hopper GEMM that gathers its operands leave the registers: finished, they go
// to shared memory as they lie in y, a chunk of rows after the other, and from there to y by warps
// that do nothing else, while the next tile is multiplied.
//
// A warpgroup holds sums as wgmma leaves them, with columns (positions) as wgmma's rows: thread
// t + 4 g of warp w has, of block b, for j < kRows / 8 and h, e < 2, sum[4 j + 2 h + e] = column
// 64 b + 16 w + g + 8 h of row 8 j + 2 t + e. A line is what a tile has of one channel of y: of
// every column its phases, one after the other. A chunk has the lines of kChunkRows rows, each as
// late behind a 16-byte boundary as in y; or at the boundary, where sums of 16 bits are put down as
// matrices of 8 x 8.
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/output_row.h"
#include "layers/conv1d/cuda/ring_position.h"

namespace engine::cuda {

inline constexpr int kChunkRows = 16;
inline constexpr int kMaxChunks = 8;

/// Of a ring of chunks.
struct ChunkBarriers {
  Barrier full[kMaxChunks];
  Barrier empty[kMaxChunks];
};

/// A chunk in shared memory, of tiles of kColumns columns.
template <typename T, int kColumns>
struct LineChunk {
  static constexpr int kUnit = 16 / sizeof(T);
  static constexpr int kPitch = kColumns + kUnit;  // elements of a row: its share of a line
  static constexpr int kElements = kChunkRows * kPitch;
  static constexpr int kBytes = kElements * sizeof(T);
};

/// 16 bytes of shared memory from a multiple of kAlign bytes on, 8 or 16.
template <int kAlign>
__device__ __forceinline__ uint4 load_unit(const char* from) {
  if constexpr (kAlign == 16) return *reinterpret_cast<const uint4*>(from);
  const auto* pairs = reinterpret_cast<const uint2*>(from);
  const uint2 low = pairs[0], high = pairs[1];
  return {low.x, low.y, high.x, high.y};
}

/// Where a tile's column 0 lies in the lines of its group's channels.
struct LineStart {
  int64_t row;    ///< of channel 0 of the group, counted in all rows of y
  int64_t first;  ///< element of the row; may lie before it

  __device__ __forceinline__ LineStart(const ImplicitGemm& p, const GemmTilePlace& place)
      : row(place.sample * p.out_channels + place.group * p.group_outputs),
        first(place.column * p.phases - p.lead) {}

  __device__ __forceinline__ int64_t element(const ImplicitGemm& p, int channel) const {
    return (row + channel) * p.out_length + first;
  }
  /// Elements from the 16-byte boundary at or before it, in y.
  template <typename T>
  __device__ __forceinline__ int shift(const ImplicitGemm& p, int channel) const {
    constexpr uint32_t kUnit = 16 / sizeof(T);
    const auto base = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p.y) / sizeof(T));
    return (base + (static_cast<uint32_t>(row) + channel) * static_cast<uint32_t>(p.out_length) +
            static_cast<uint32_t>(first)) &
           (kUnit - 1);
  }
  /// The same in a chunk, where matrices begin at boundaries.
  template <typename T>
  __device__ __forceinline__ int chunk_shift(const ImplicitGemm& p, int channel) const {
    return p.by_matrices ? 0 : shift<T>(p, channel);
  }
};

/// Elements of a line that its tile stores. Tiles that overlap meet at sectors of 32 bytes.
template <typename T>
struct LineEnds {
  int low;
  int high;

  __device__ __forceinline__ LineEnds(const ImplicitGemm& p, const GemmTilePlace& place,
                                      const T* start, int columns) {
    constexpr int kSector = 32 / sizeof(T);
    const int phase = static_cast<int>(reinterpret_cast<uintptr_t>(start) % 32 / sizeof(T));
    const auto next_sector = [&](int at) { return at + (-(phase + at) & (kSector - 1)); };
    const int64_t left = p.out_length + p.lead - place.column * p.phases;
    low = place.first_of_sample ? p.lead : 0;
    high = static_cast<int>(min(left, static_cast<int64_t>(columns) * p.phases));
    if (p.advance < columns) {
      if (!place.first_of_sample) low = next_sector(0);
      if (!place.last_of_sample) high = min(high, next_sector(p.advance * p.phases));
    }
  }
};

/// Stores a line to `y`, whose column 0 is at `values`, by `lanes` lanes, at least eight, of which
/// this is `lane`. The line and y lie to 16-byte boundaries alike but for multiples of kAlign
/// bytes. The few elements before and behind its whole units of 16 bytes are stored one by one.
/// Several units are read before the first is written, so that the reads do not wait for each
/// other.
template <int kAlign, typename T>
__device__ __forceinline__ void store_line(const LineEnds<T>& ends, const T* values, T* y, int lane,
                                           int lanes) {
  constexpr int kUnit = 16 / sizeof(T);
  constexpr int kAtOnce = 4;
  const int shift = static_cast<int>(reinterpret_cast<uintptr_t>(y) % 16 / sizeof(T));
  const int low = ((shift + ends.low + kUnit - 1) & ~(kUnit - 1)) - shift;
  const int high = max(((shift + ends.high) & ~(kUnit - 1)) - shift, low);
  const int step = lanes * kUnit;
#pragma unroll 1
  for (int i = low + lane * kUnit; i < high; i += kAtOnce * step) {
    uint4 loaded[kAtOnce] = {};
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int at = i + u * step;
      if (at < high) loaded[u] = load_unit<kAlign>(reinterpret_cast<const char*>(values + at));
    }
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int at = i + u * step;
      if (at < high) *reinterpret_cast<uint4*>(y + at) = loaded[u];
    }
  }
  const int head = ends.low + lane, tail = max(high, ends.low) + lane;
  if (head < min(low, ends.high)) y[head] = values[head];
  if (tail < ends.high) y[tail] = values[tail];
}

/// What line `line` of a chunk is.
template <typename T, int kColumns>
struct ChunkLine {
  using Chunk = LineChunk<T, kColumns>;

  int channel;  ///< of the group
  int offset;   ///< of its column 0, from the chunk's first element

  __device__ __forceinline__ ChunkLine(const ImplicitGemm& p, const GemmTilePlace& place,
                                       const LineStart& start, int chunk, int line) {
    const int eight = p.phases == 1 ? line / 8 : line / p.row_channels;
    channel = (place.row + chunk * kChunkRows) / 8 * p.row_channels + line;
    offset = eight * 8 * Chunk::kPitch +
             (line - eight * p.row_channels) * (kColumns * p.phases + Chunk::kUnit) +
             start.chunk_shift<T>(p, channel);
  }
};

/// Whether a tile stores as much of every line: `advance` columns from a sector on where tiles
/// overlap, else all.
__device__ __forceinline__ bool has_whole_lines(const ImplicitGemm& p, const GemmTilePlace& place,
                                                const LineStart& start, int columns) {
  if (p.phases > 1 || p.out_length - start.first < columns) return false;
  return p.advance == columns || !place.first_of_sample;
}

/// Where a lane of storing warp `storer` finds and stores its 16 bytes of the lines of a tile that
/// has whole lines. The lanes of a warp take as many lines at once as they have bytes for; every
/// kRepeat-th line lies alike to the sectors of y.
template <typename Tile, int kAlign>
struct WholeLines {
  using T = typename Tile::T;
  static constexpr int kBytes = sizeof(T);
  static constexpr int kLineBytes = Tile::kColumns * kBytes;
  static constexpr int kTurns = (kLineBytes + 511) / 512;  // of 512 bytes of a warp
  static constexpr int kAtOnce = kTurns > 1 ? 1 : 512 / kLineBytes;
  static constexpr int kRepeat = 32 / kBytes;
  static constexpr int kClassLines = Tile::kStorers * kAtOnce;  // of all warps
  static constexpr int kClasses = kRepeat / kClassLines;
  static constexpr int kPitch = LineChunk<T, Tile::kColumns>::kPitch * kBytes;

  int line;              ///< the lane's first of each chunk
  char* y[kClasses];     ///< of the next line of each class
  int source[kClasses];  ///< of its line in a chunk, in bytes from the chunk's first
  int64_t step;          ///< from a line of a class to the next
  int count;             ///< bytes that are left from the lane's first on
  bool has_ends;         ///< elements before and behind its whole units of 16 bytes, one unit

  __device__ __forceinline__ WholeLines(const ImplicitGemm& p, const GemmTilePlace& place,
                                        const LineStart& start, int storer)
      : step(p.out_length * (kBytes * kRepeat)) {
    const int lane = threadIdx.x % 32;
    const int lane_bytes = lane * 16 % kLineBytes;
    line = storer * kAtOnce + lane * 16 / kLineBytes;
    const bool overlap = p.advance < Tile::kColumns;
    const int64_t row_bytes = p.out_length * kBytes;
    has_ends = !overlap && ((row_bytes | start.first * kBytes) % 16 != 0 ||
                            reinterpret_cast<uintptr_t>(p.y) % 16 != 0);
    count = p.advance * kBytes - (has_ends ? 16 : 0) - lane_bytes;
#pragma unroll
    for (int c = 0; c < kClasses; ++c) {
      const T* first =
          static_cast<const T*>(p.y) + start.element(p, place.row + line + c * kClassLines);
      const auto address = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(first));
      const int offset = (-address & (overlap ? 31 : 15)) + lane_bytes;
      y[c] = const_cast<char*>(reinterpret_cast<const char*>(first)) + offset;
      source[c] = (line + c * kClassLines) * kPitch + (p.by_matrices ? 0 : address & 15) + offset;
    }
  }

  /// Stores the warp's lines of the next chunk, of which `lines` exist. Lines are read before the
  /// first is written, so that the reads do not wait for each other.
  __device__ __forceinline__ void store_chunk(const char* values, int lines) {
#pragma unroll
    for (int i = 0; i < kChunkRows / kRepeat; ++i) {
      uint4 loaded[kClasses][kTurns] = {};
#pragma unroll
      for (int at = 0; at < kClasses * kTurns; ++at) {
        const int c = at / kTurns, turn = at % kTurns;
        const char* from = values + source[c] + i * kRepeat * kPitch;
        if (turn * 512 < count) {
          loaded[c][turn] = load_unit<kAlign>(from + turn * 512);
        }
      }
#pragma unroll
      for (int at = 0; at < kClasses * kTurns; ++at) {
        const int c = at / kTurns, turn = at % kTurns;
        if (turn * 512 < count && line + i * kRepeat + c * kClassLines < lines) {
          *reinterpret_cast<uint4*>(y[c] + turn * 512) = loaded[c][turn];
        }
      }
#pragma unroll
      for (int c = 0; c < kClasses; ++c) y[c] += step;
    }
  }
};

/// Stores the ends of a storing warp's lines of a chunk, which WholeLines leaves out. `channel` is
/// that of the first of `lines`.
template <typename Tile>
__device__ __forceinline__ void store_line_ends(const ImplicitGemm& p, const LineStart& start,
                                                int channel, int lines,
                                                const typename Tile::T* values, int storer) {
  using T = typename Tile::T;
  using Chunk = LineChunk<T, Tile::kColumns>;
  constexpr int kLanes = 32 * Tile::kStorers / kChunkRows;  // of a line
  static_assert(kLanes >= Chunk::kUnit);
  const int lane = threadIdx.x % kLanes;
  const int line = static_cast<int>(threadIdx.x) % 32 / kLanes * Tile::kStorers + storer;
  if (line >= lines || lane >= Chunk::kUnit) return;
  T* y = static_cast<T*>(p.y) + start.element(p, channel + line);
  const int shift = start.shift<T>(p, channel + line);
  const int before = -shift & (Chunk::kUnit - 1);
  const int at = lane < before ? lane : Tile::kColumns - Chunk::kUnit + lane;
  y[at] = values[line * Chunk::kPitch + start.chunk_shift<T>(p, channel + line) + at];
}

/// Stores a storing warp's lines of chunk `chunk` of a tile, which is at `values`.
template <typename Tile, int kAlign>
__device__ __forceinline__ void store_any_chunk(const ImplicitGemm& p, const GemmTilePlace& place,
                                                const LineStart& start, int chunk,
                                                const typename Tile::T* values, int storer) {
  using T = typename Tile::T;
  const int lines = kChunkRows / 8 * p.row_channels;
  const int lanes = min(32, 32 * Tile::kStorers / lines);  // of a line
  const int group = static_cast<int>(threadIdx.x) % 32 / lanes;
  const int i = group * Tile::kStorers + storer;
  if (i >= lines) return;
  const ChunkLine<T, Tile::kColumns> line(p, place, start, chunk, i);
  if (line.channel >= p.group_outputs) return;
  T* y = static_cast<T*>(p.y) + start.element(p, line.channel);
  store_line<kAlign>(LineEnds<T>(p, place, y, Tile::kColumns), values + line.offset, y,
                     static_cast<int>(threadIdx.x) % lanes, lanes);
}

/// The bias of row `row` of a tile.
__device__ __forceinline__ float bias_of_row(const ImplicitGemm& p, const GemmTilePlace& place,
                                             int row) {
  const int line = p.phases == 1 ? row % 8 : row % 8 / p.phases;
  const int channel = (place.row + row) / 8 * p.row_channels + line;
  if (line >= p.row_channels || channel >= p.group_outputs) return 0.0f;
  return __ldg(p.epilogue.bias + place.group * p.group_outputs + channel);
}

/// Adds the bias of a tile's rows to a thread's sums.
template <typename Tile, int kSums>
__device__ __forceinline__ void add_bias(const float* bias, float (&sum)[Tile::kBlocks][kSums]) {
#pragma unroll
  for (int j = 0; j < Tile::kRows / 8; ++j) {
    const float2 two = *reinterpret_cast<const float2*>(bias + 8 * j + threadIdx.x % 4 * 2);
#pragma unroll
    for (int v = 0; v < 2 * Tile::kBlocks; ++v) {
      sum[v / 2][4 * j + 2 * (v % 2)] += two.x;
      sum[v / 2][4 * j + 2 * (v % 2) + 1] += two.y;
    }
  }
}

/// Where a thread puts its sums of a chunk, in elements from the chunk's first: those of row 2 t +
/// e of eight rows, of the columns from `column` on. kPhased: a column has several phases, so that
/// eights of rows may hold fewer channels.
template <typename Tile, bool kPhased>
struct StagedRows {
  using T = typename Tile::T;
  using Chunk = LineChunk<T, Tile::kColumns>;

  int row[2];      ///< but for what a line of y is late
  int line[2];     ///< of eight rows: the channel
  int late[2];     ///< where that is the same for all eights of rows
  bool exists[2];  ///< of fewer channels with all their phases, rows may be left over

  __device__ __forceinline__ StagedRows(const ImplicitGemm& p, const GemmTilePlace& place,
                                        const LineStart& start, int column) {
    const int phases = kPhased ? p.phases : 1;
    const int channels = kPhased ? p.row_channels : 8;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int n = 2 * (threadIdx.x % 4) + e;
      line[e] = kPhased ? n / phases : n;
      exists[e] = !kPhased || line[e] < channels;
      row[e] = line[e] * (Tile::kColumns * phases + Chunk::kUnit) + n - line[e] * phases +
               column * phases;
      // Eight rows of y are a multiple of 16 bytes.
      late[e] = start.shift<T>(p, place.row / 8 * channels + line[e]);
    }
  }

  /// Puts a thread's sums of the chunk of rows from the tile's `eight`-th eight on to `values`.
  template <int kSums>
  __device__ __forceinline__ void stage(const ImplicitGemm& p, const GemmTilePlace& place,
                                        const LineStart& start, int eight,
                                        const float (&sum)[Tile::kBlocks][kSums], T* values) const {
    if (kPhased && p.phases % 2 == 0 && !p.odd_rows) {
      if (exists[0]) stage_phases(p, place, start, eight, sum, values);
      return;
    }
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      if (!exists[e]) continue;
#pragma unroll
      for (int i = 0; i < kChunkRows / 8; ++i) {
        T* at = target(p, place, start, eight + i, e, values) + i * 8 * Chunk::kPitch;
#pragma unroll
        for (int v = 0; v < 2 * Tile::kBlocks; ++v) {
          at[column_offset(p, v)] = from_float<T>(sum[v / 2][4 * (eight + i) + 2 * (v % 2) + e]);
        }
      }
    }
  }

 private:
  /// Of the v-th column from the thread's first.
  static __device__ __forceinline__ int column_offset(const ImplicitGemm& p, int v) {
    return (64 * (v / 2) + 8 * (v % 2)) * (kPhased ? p.phases : 1);
  }
  /// Where row e of eight `eight` of the tile goes, but for the eights before in its chunk.
  __device__ __forceinline__ T* target(const ImplicitGemm& p, const GemmTilePlace& place,
                                       const LineStart& start, int eight, int e, T* values) const {
    if constexpr (!kPhased) return values + row[e] + late[e];
    return values + row[e] + start.shift<T>(p, (place.row / 8 + eight) * p.row_channels + line[e]);
  }
  /// Rows 2 t and 2 t + 1 are phases of one channel, which are neighbours in y.
  template <int kSums>
  __device__ __forceinline__ void stage_phases(const ImplicitGemm& p, const GemmTilePlace& place,
                                               const LineStart& start, int eight,
                                               const float (&sum)[Tile::kBlocks][kSums],
                                               T* values) const {
#pragma unroll
    for (int i = 0; i < kChunkRows / 8; ++i) {
      T* at = target(p, place, start, eight + i, 0, values) + i * 8 * Chunk::kPitch;
#pragma unroll
      for (int v = 0; v < 2 * Tile::kBlocks; ++v) {
        const float* pair = sum[v / 2] + 4 * (eight + i) + 2 * (v % 2);
        store_pair(at + column_offset(p, v), pair[0], pair[1]);
      }
    }
  }
};

/// Puts a thread's sums, of 16-bit types and one phase, of the chunk of rows from the tile's
/// `eight`-th eight on to `values`, by matrices of eight rows and columns. They lie at boundaries
/// of 16 bytes, wherever lines of y begin; storing warps read them from where those need.
template <typename Tile, int kSums>
__device__ __forceinline__ void stage_matrices(int column, int eight,
                                               const float (&sum)[Tile::kBlocks][kSums],
                                               typename Tile::T* values) {
  using T = typename Tile::T;
  static_assert(kChunkRows == 16);
  // A lane tells where a row of matrix i goes: that of rows 8 (i / 2) and columns 8 (i % 2) on.
  const int lane = threadIdx.x % 32, matrix = lane / 8;
  const int row = matrix / 2 * 8 + lane % 8;
  const T* first =
      values + row * LineChunk<T, Tile::kColumns>::kPitch + column - lane / 4 + matrix % 2 * 8;
#pragma unroll
  for (int b = 0; b < Tile::kBlocks; ++b) {
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* pair = sum[b] + 4 * eight + 2 * i;
      words[i] = word_of_pair<T>(pair[0], pair[1]);
    }
    store_transposed(shared_address(first + 64 * b), words);
  }
}

/// Hands a thread's finished sums of one tile to the storing warps, chunk after chunk. `column` is
/// the thread's first of the tile, `at` the place of the next chunk.
template <typename Tile, bool kPhased, int kSums>
__device__ __forceinline__ void stage_tile(const ImplicitGemm& p, const GemmTilePlace& place,
                                           const float (&sum)[Tile::kBlocks][kSums], int column,
                                           typename Tile::T* staging, ChunkBarriers& barriers,
                                           RingPosition& at) {
  using T = typename Tile::T;
  constexpr bool kMatrices = sizeof(T) == 2 && !kPhased;
  const LineStart start(p, place);
  const StagedRows<Tile, kPhased> rows(p, place, start, column);
#pragma unroll
  for (int c = 0; c < Tile::kRows / kChunkRows; ++c) {
    if (place.row + c * kChunkRows >= p.group_rows) break;
    barriers.empty[at.slot].wait(at.parity ^ 1);
    T* values = staging + at.slot * LineChunk<T, Tile::kColumns>::kElements;
    if (!kMatrices || !p.by_matrices) {
      rows.stage(p, place, start, c * (kChunkRows / 8), sum, values);
    } else if constexpr (kMatrices) {
      stage_matrices<Tile>(column, c * (kChunkRows / 8), sum, values);
    }
    barriers.full[at.slot].arrive();
    at.advance(p.chunks);
  }
}

/// Stores storing warp `storer`'s lines of one tile. kWhole: the tile has whole lines. kAlign: as
/// store_line() has it.
template <typename Tile, bool kWhole, int kAlign>
__device__ __forceinline__ void store_chunks(const ImplicitGemm& p, const GemmTilePlace& place,
                                             const LineStart& start, int storer,
                                             const typename Tile::T* staging,
                                             ChunkBarriers& barriers, RingPosition& at) {
  using T = typename Tile::T;
  WholeLines<Tile, kAlign> lines(p, place, start, storer);
#pragma unroll 1
  for (int c = 0; c < Tile::kRows / kChunkRows; ++c) {
    const int row = place.row + c * kChunkRows;
    if (row >= p.group_rows) break;
    const T* values = staging + at.slot * LineChunk<T, Tile::kColumns>::kElements;
    barriers.full[at.slot].wait(at.parity);
    if constexpr (kWhole) {
      const int existing = min(kChunkRows, p.group_outputs - row);
      lines.store_chunk(reinterpret_cast<const char*>(values), existing);
      if (lines.has_ends) store_line_ends<Tile>(p, start, row, existing, values, storer);
    } else {
      store_any_chunk<Tile, kAlign>(p, place, start, c, values, storer);
    }
    barriers.empty[at.slot].arrive();
    at.advance(p.chunks);
  }
}

template <typename Tile, int kAlign>
__device__ __forceinline__ void store_aligned_tile(const ImplicitGemm& p,
                                                   const GemmTilePlace& place, int storer,
                                                   const typename Tile::T* staging,
                                                   ChunkBarriers& barriers, RingPosition& at) {
  const LineStart start(p, place);
  if (has_whole_lines(p, place, start, Tile::kColumns)) {
    store_chunks<Tile, true, kAlign>(p, place, start, storer, staging, barriers, at);
  } else {
    store_chunks<Tile, false, kAlign>(p, place, start, storer, staging, barriers, at);
  }
}

template <typename Tile>
__device__ __forceinline__ void store_tile(const ImplicitGemm& p, const GemmTilePlace& place,
                                           int storer, const typename Tile::T* staging,
                                           ChunkBarriers& barriers, RingPosition& at) {
  if constexpr (sizeof(typename Tile::T) == 2) {
    const auto bytes = static_cast<uint64_t>(p.out_length | place.column) * 2;
    if (p.by_matrices && (bytes | reinterpret_cast<uintptr_t>(p.y)) % 16 != 0) {
      store_aligned_tile<Tile, 8>(p, place, storer, staging, barriers, at);
      return;
    }
  }
  store_aligned_tile<Tile, 16>(p, place, storer, staging, barriers, at);
}

}  // namespace engine::cuda
