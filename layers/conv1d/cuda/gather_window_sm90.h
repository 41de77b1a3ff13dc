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

/// Where the window of one stage begins.
struct GatherWindow {
  int64_t row;       ///< channel 0 of the stage, counted in all rows of x
  int64_t position;  ///< of the window's first element; may lie outside x
  int channels;      ///< that remain

  __device__ __forceinline__ GatherWindow(const ImplicitGemm& p, const GemmTilePlace& place,
                                          int channel_stage, int tap_stage) {
    const int channel = channel_stage * p.stage_units * p.unit_channels;
    row = place.sample * p.in_channels + place.group * p.channels + channel;
    position = place.column * p.stride + p.first + tap_stage * p.stage_shift;
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

/// The part of a row that x has, in elements of the row in shared memory.
struct GatherRowPart {
  int begin = 0;
  int end = 0;
};

/// What lane `channel` of the window has to bring, of row `channel`.
template <typename T>
struct GatherRow {
  const T* source;  ///< of element 0 of the row in shared memory
  GatherRowPart part;
  GatherRowPart units;  ///< whole units within x that cover the part, but for its last elements

  __device__ __forceinline__ GatherRow(const ImplicitGemm& p, const GatherWindow& window,
                                       int channel) {
    constexpr int kUnit = kUnitBytes / sizeof(T);
    const int shift = window.row_shift<T>(p, channel);
    const T* x = static_cast<const T*>(p.x);
    const int64_t first = (window.row + channel) * p.in_length + window.position - shift;
    source = x + first;
    const int64_t low = max(-window.position, int64_t{0});
    const int64_t high = min(p.in_length - window.position, static_cast<int64_t>(p.row_length));
    if (low >= high) return;
    part = {shift + static_cast<int>(low), shift + static_cast<int>(high)};
    units = {part.begin & ~(kUnit - 1), (part.end + kUnit - 1) & ~(kUnit - 1)};
    // Beyond both ends of x there may be nothing.
    if (first + units.begin < 0) units.begin += kUnit;
    if (first + units.end > p.in_elements) units.end -= kUnit;
    units.end = max(units.begin, units.end);
  }

  /// The copy of the units, where element 0 is at shared address `target`.
  __device__ __forceinline__ BulkCopy copy_to(uint32_t target) const {
    return {target + units.begin * static_cast<uint32_t>(sizeof(T)),
            (units.end - units.begin) * static_cast<uint32_t>(sizeof(T)),
            reinterpret_cast<const char*>(source + units.begin)};
  }
  /// Copies what the units leave out, at x's very ends.
  __device__ __forceinline__ void copy_rest(T* target) const {
    if (units.begin <= part.begin && part.end <= units.end) return;
    for (int i = part.begin; i < min(units.begin, part.end); ++i) target[i] = source[i];
    for (int i = max(units.end, part.begin); i < part.end; ++i) target[i] = source[i];
    fence_proxy_async();  // bulk copies of later stages write there too
  }
};

/// Whether x has all positions of a window.
__device__ __forceinline__ bool has_positions(const ImplicitGemm& p, const GatherWindow& window) {
  return window.position >= 0 && window.position + p.row_length <= p.in_length;
}

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

/// Starts the copies of a warp's rows of the window of a stage to `target`. They count at `full`,
/// which waits for the warp, too.
template <typename T>
__device__ __forceinline__ void start_window(const ImplicitGemm& p, const GatherWindow& window,
                                             const LoaderRows& rows, char* target, Barrier& full) {
  const int lane = threadIdx.x % 32;
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
  __syncwarp();
  if (lane == 0) full.arrive();
}

/// The copies of a warp's rows of the windows of a tile, where those of a stage are those of the
/// stage before, whole units of 16 bytes further: other channels, the same positions. Then a warp
/// does little for each stage, and short stages do not wait for it.
template <typename T>
struct RepeatedCopies {
  BulkCopy first;  ///< the lane's of stage 0; its shared address counts from the slot
  uint32_t bytes;  ///< of all lanes
  int64_t step;    ///< bytes of x from a stage to the next
  int count;       ///< of lanes that copy
  bool exist;

  __device__ __forceinline__ RepeatedCopies(const ImplicitGemm& p, const GatherWindow& window,
                                            const LoaderRows& rows) {
    const int stage_channels = p.stage_units * p.unit_channels;
    const int64_t begin = window.row * p.in_length + window.position;
    const int64_t end = begin + (window.channels - 1) * p.in_length + p.row_length;
    constexpr int kUnit = kUnitBytes / sizeof(T);
    count = rows.end - rows.begin;
    step = stage_channels * p.in_length * static_cast<int64_t>(sizeof(T));
    exist = count <= 32 && step % kUnitBytes == 0 && window.channels % stage_channels == 0 &&
            begin >= kUnit && end + kUnit <= p.in_elements;
    first = {};
    const int row = rows.begin + static_cast<int>(threadIdx.x) % 32;
    if (row < rows.end) first = GatherRow<T>(p, window, row).copy_to(row * p.row_pitch * 4);
    bytes = __reduce_add_sync(0xffffffffu, first.bytes);
  }

  /// Starts those of a stage to the slot at `target`, as start_window() does.
  __device__ __forceinline__ void start(int stage, const char* target, Barrier& full) const {
    if (threadIdx.x % 32 == 0) full.arrive_and_expect(bytes);
    __syncwarp();
    BulkCopy mine = first;
    mine.shared += shared_address(target);
    mine.global += stage * step;
    bulk_copy_lanes(mine, count, full);
  }
};

/// Makes zeros of what a window has beyond x, `channel` channels further, by `threads` threads, of
/// which this is `thread`.
template <typename T>
__device__ __forceinline__ void clear_outside(const ImplicitGemm& p, const GatherWindow& window,
                                              int channel, char* target, int thread, int threads) {
  const auto clamp = [&](int64_t n) {
    return static_cast<int>(min(max(n, int64_t{0}), static_cast<int64_t>(p.row_length)));
  };
  const int low = clamp(-window.position);
  const int high = max(clamp(p.in_length - window.position), low);
  for (int c = thread / 32; c < p.stage_units * p.unit_channels; c += threads / 32) {
    T* row =
        reinterpret_cast<T*>(target + c * p.row_pitch * 4) + window.row_shift<T>(p, channel + c);
    const bool exists = c < window.channels - channel;
    const int before = exists ? low : p.row_length;
    for (int i = thread % 32; i < before; i += 32) row[i] = T{};
    for (int i = max(high, before) + thread % 32; i < p.row_length; i += 32) row[i] = T{};
  }
}

}  // namespace engine::cuda
