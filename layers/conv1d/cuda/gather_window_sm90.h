// How rows of x come to shared memory for the Hopper GEMM that gathers its operands.
//
// A window is kept as it lies in x: for each channel of the stage the units of 16 bytes that its
// positions touch, so that element i of a channel's piece is element row_shift() + i of its row of
// shared memory, whatever x's alignment is.
#pragma once

#include <cstdint>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/gemm_tile_place.h"
#include "layers/conv1d/cuda/window_units.h"

namespace engine::cuda {

/// Where the window of one stage lies.
struct GatherWindow {
  int64_t row;       ///< channel 0 of the stage, counted in all rows of x
  int64_t position;  ///< of the window's first element; may lie outside x
  int length;        ///< positions that outputs are made of
  int channels;      ///< that remain

  /// Of a tile of `columns` columns, of which the last of a sample may not have all.
  __device__ __forceinline__ GatherWindow(const ImplicitGemm& p, const GemmTilePlace& place,
                                          int columns, int channel_stage, int tap_stage) {
    const int channel = channel_stage * p.stage_units * p.unit_channels;
    row = place.sample * p.in_channels + place.group * p.channels + channel;
    position = place.column * p.stride + p.first + tap_stage * p.stage_shift;
    const int64_t absent = max(place.column + columns - p.columns, int64_t{0});
    length = p.row_length - static_cast<int>(absent * p.stride);
    channels = p.channels - channel;
  }

  /// Elements between the 16-byte boundary at or before the window and its first element, in row
  /// `channel` of it.
  template <typename T>
  __device__ __forceinline__ int row_shift(const ImplicitGemm& p, int channel) const {
    constexpr uint32_t kUnit = kUnitBytes / sizeof(T);
    const auto base = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p.x) / sizeof(T));
    const auto length = static_cast<uint32_t>(p.in_length);
    const uint32_t element = (static_cast<uint32_t>(row) + channel) * length;
    return (base + element + static_cast<uint32_t>(position)) & (kUnit - 1);
  }
};

/// Some neighbouring elements of a row in shared memory.
struct GatherRowPart {
  int begin = 0;
  int end = 0;
};

/// What a lane has to bring of row `channel` of a window.
template <typename T>
struct GatherRow {
  const T* source;      ///< of element 0 of the row in shared memory
  GatherRowPart part;   ///< that x has of the window
  GatherRowPart units;  ///< of 16 bytes; they cover the part but for a few elements at row ends

  __device__ __forceinline__ GatherRow(const ImplicitGemm& p, const GatherWindow& window,
                                       int channel) {
    constexpr int kUnit = kUnitBytes / sizeof(T);
    const int shift = window.row_shift<T>(p, channel);
    const T* x = static_cast<const T*>(p.x);
    const int64_t first = (window.row + channel) * p.in_length + window.position - shift;
    source = x + first;
    const int64_t low = max(-window.position, int64_t{0});
    const int64_t high = min(p.in_length - window.position, static_cast<int64_t>(window.length));
    if (low >= high) {
      part = {shift + window.length, shift + window.length};
      return;
    }
    part = {shift + static_cast<int>(low), shift + static_cast<int>(high)};
    // Beyond the ends of x's rows there are zeros, so units stop there; elsewhere what is beside
    // the window does no harm, but that there may be nothing beyond both ends of x.
    units = {part.begin & ~(kUnit - 1), (part.end + kUnit - 1) & ~(kUnit - 1)};
    if (units.begin < part.begin && (low > 0 || first + units.begin < 0)) units.begin += kUnit;
    if (units.end > part.end && (high < window.length || first + units.end > p.in_elements)) {
      units.end -= kUnit;
    }
    units.end = max(units.begin, units.end);
  }

  /// The copy of the units, where element 0 is at shared address `target`.
  __device__ __forceinline__ BulkCopy copy_to(uint32_t target) const {
    return {target + units.begin * static_cast<uint32_t>(sizeof(T)),
            (units.end - units.begin) * static_cast<uint32_t>(sizeof(T)),
            reinterpret_cast<const char*>(source + units.begin)};
  }
  __device__ __forceinline__ bool units_cover_part() const {
    return units.begin <= part.begin && part.end <= units.end;
  }
  /// Copies what the units leave out.
  __device__ __forceinline__ void copy_rest(T* target) const {
    if (units_cover_part()) return;
#pragma unroll 1
    for (int i = part.begin; i < min(units.begin, part.end); ++i) target[i] = source[i];
#pragma unroll 1
    for (int i = max(units.end, part.begin); i < part.end; ++i) target[i] = source[i];
    fence_proxy_async();  // bulk copies of later stages write there too
  }
};

/// What loading warp `loader` of `loaders` brings of a window: rows [begin, end).
struct LoaderRows {
  int begin;
  int end;

  __device__ __forceinline__ LoaderRows(const ImplicitGemm& p, const GatherWindow& window,
                                        int loader, int loaders) {
    const int existing = min(p.stage_units * p.unit_channels, window.channels);
    const int share = (existing + loaders - 1) / loaders;
    begin = min(existing, loader * share);
    end = min(existing, begin + share);
  }
};

/// Makes zeros of the positions of a warp's rows of a window that lie beyond the ends of x's rows.
/// As many lanes take a row together as it has such positions, so that a warp takes several rows at
/// once where they are few.
template <typename T>
__device__ __forceinline__ void clear_outside(const ImplicitGemm& p, const GatherWindow& window,
                                              const LoaderRows& rows, char* target) {
  const auto limit = static_cast<int64_t>(window.length);
  const auto before = static_cast<int>(min(max(-window.position, int64_t{0}), limit));
  const auto end =
      static_cast<int>(min(max(p.in_length - window.position, int64_t{before}), limit));
  const int outside = before + window.length - end;
  if (outside == 0) return;
  int team = 1;
  while (team < min(outside, 32)) team *= 2;
  const int lane = threadIdx.x % 32;
#pragma unroll 1
  for (int row = rows.begin + lane / team; row < rows.end; row += 32 / team) {
    T* first = reinterpret_cast<T*>(target + row * p.row_pitch * 4) + window.row_shift<T>(p, row);
#pragma unroll 1
    for (int i = lane % team; i < outside; i += team) {
      first[i < before ? i : i - before + end] = T{};
    }
  }
  fence_proxy_async();  // bulk copies of later stages write there too
}

/// Makes zeros of the rows of a stage whose channels do not exist, by one of `loaders` warps.
__device__ __forceinline__ void clear_absent_rows(const ImplicitGemm& p, const GatherWindow& window,
                                                  int loader, int loaders, char* target) {
  const int rows = p.stage_units * p.unit_channels;
  if (window.channels >= rows) return;
  const int vectors = p.row_pitch / 4;
  for (int row = window.channels + loader; row < rows; row += loaders) {
    uint4* first = reinterpret_cast<uint4*>(target + row * p.row_pitch * 4);
#pragma unroll 1
    for (int i = threadIdx.x % 32; i < vectors; i += 32) first[i] = uint4{};
  }
  fence_proxy_async();
}

/// Starts the copies of a warp's rows of the window of a stage to `target`. They count at `full`,
/// which waits for the warp's lanes, too.
template <typename T>
__device__ __forceinline__ void start_window(const ImplicitGemm& p, const GatherWindow& window,
                                             const LoaderRows& rows, char* target, Barrier& full) {
  const int lane = threadIdx.x % 32;
  clear_outside<T>(p, window, rows, target);
  for (int first = rows.begin; first < rows.end; first += 32) {
    BulkCopy mine{};
    if (first + lane < rows.end) {
      const GatherRow<T> row(p, window, first + lane);
      T* place = reinterpret_cast<T*>(target + (first + lane) * p.row_pitch * 4);
      row.copy_rest(place);
      mine = row.copy_to(shared_address(place));
    }
    const uint32_t bytes = __reduce_add_sync(0xffffffffu, mine.bytes);
    if (lane == 0) full.expect(bytes);
    __syncwarp();
    bulk_copy_lanes(mine, min(32, rows.end - first), full);
  }
  full.arrive();
}

/// The copies of a warp's rows of the first windows of a tile, where those of a stage are those of
/// the stage before, whole units of 16 bytes further: other channels, the same positions within x.
/// Then a warp does little for each stage, and short stages do not wait for it.
template <typename T>
struct RepeatedCopies {
  BulkCopy first;  ///< the lane's of stage 0; its shared address counts from the slot
  uint32_t bytes;  ///< of all lanes
  int64_t step;    ///< bytes of x from a stage to the next
  int count;       ///< of lanes that copy
  int stages;      ///< that have such copies

  __device__ __forceinline__ RepeatedCopies(const ImplicitGemm& p, const GatherWindow& window,
                                            const LoaderRows& rows) {
    const int stage_channels = p.stage_units * p.unit_channels;
    const int64_t begin = window.row * p.in_length + window.position;
    const int64_t end = begin + (window.channels - 1) * p.in_length + window.length;
    constexpr int kUnit = kUnitBytes / sizeof(T);
    count = rows.end - rows.begin;
    step = stage_channels * p.in_length * static_cast<int64_t>(sizeof(T));
    const bool exist = count <= 32 && step % kUnitBytes == 0 && window.position >= 0 &&
                       window.position + window.length <= p.in_length && begin >= kUnit &&
                       end + kUnit <= p.in_elements;
    stages = exist ? window.channels / stage_channels : 0;
    first = {};
    const int row = rows.begin + static_cast<int>(threadIdx.x) % 32;
    if (row < rows.end) first = GatherRow<T>(p, window, row).copy_to(row * p.row_pitch * 4);
    bytes = __reduce_add_sync(0xffffffffu, first.bytes);
  }

  /// Starts those of a stage to the slot at `target`, as start_window() does.
  __device__ __forceinline__ void start(int stage, const char* target, Barrier& full) const {
    if (threadIdx.x % 32 == 0) full.expect(bytes);
    __syncwarp();
    full.arrive();
    BulkCopy mine = first;
    mine.shared += shared_address(target);
    mine.global += stage * step;
    bulk_copy_lanes(mine, count, full);
  }
};

}  // namespace engine::cuda
