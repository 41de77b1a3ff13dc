// How a warp brings a stage's window by way of rows: bulk copies bring pieces of rows of x to a
// buffer of the warp's own, so that no register waits for memory; from there the warp turns squares
// of channels and positions into units.
#pragma once

#include <type_traits>

#include "engine/cuda/hopper.h"
#include "layers/conv1d/cuda/window_units.h"

namespace engine::cuda {

/// The pieces of rows that one stage needs, in units of 16 bytes along the length: [unit of
/// channels][its channels][row_units], and row_turn units more behind each unit of channels, by
/// which lanes that read several of them meet different banks. Copies come to `full`.
struct RowBuffer {
  uint4* units;
  Barrier* full;
};

/// Starts the copies of a window's rows. Units that x does not have become zeros: rows begin and
/// end between units.
template <typename Raw>
__device__ __forceinline__ void start_rows(const ImplicitGemm& p, const Window<Raw>& window,
                                           const RowBuffer& buffer) {
  constexpr int kWidth = kUnitElements<Raw>;
  const int lane = threadIdx.x % 32;
  const int64_t first = window.position - p.row_lead;
  const int64_t units = p.row_units;
  const int begin = static_cast<int>(min(max(-first / kWidth, int64_t{0}), units));
  const int end = max(begin, static_cast<int>(min((p.in_length - first) / kWidth, units)));
  const int channels = p.stage_units * kWidth;
  const int existing = min(channels, window.channels);
  const uint32_t bytes = (end - begin) * kUnitBytes;
  if (lane == 0) buffer.full->arrive_and_expect(existing * bytes);
  __syncwarp();
  for (int c = lane; c < channels; c += 32) {
    uint4* row = buffer.units + c * p.row_units + c / kWidth * p.row_turn;
    if (c < existing && bytes > 0) {
      bulk_copy(shared_address(row + begin),
                window.x + c * p.in_length + first + int64_t{begin} * kWidth, bytes, *buffer.full);
    }
    const int zeros = c < existing ? begin : p.row_units;
    for (int u = 0; u < zeros; ++u) row[u] = {};
    for (int u = max(zeros, end); u < p.row_units; ++u) row[u] = {};
  }
  __syncwarp();
}

/// Stores position `i` of a square of channels and positions as a unit, where it exists.
template <int kParts>
__device__ __forceinline__ void store_position(const float4 (&square)[4], int i, uint4* target,
                                               int small, bool exists) {
  float values[4];
#pragma unroll
  for (int c = 0; c < 4; ++c) values[c] = (&square[c].x)[i];
  store_unit<kParts>(values, target, small, exists);
}
template <int kParts>
__device__ __forceinline__ void store_position(const uint4 (&square)[8], int i, uint4* target, int,
                                               bool exists) {
  uint4 unit;
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    (&unit.x)[w] = __byte_perm((&square[2 * w].x)[i / 2], (&square[2 * w + 1].x)[i / 2],
                               i % 2 == 0 ? 0x5410 : 0x7632);
  }
  store_shared_16_if(target, unit, exists);
}

/// Writes a window's units from its rows. Lanes take neighbouring units of channels first.
template <typename Tile, typename Raw>
__device__ __forceinline__ void write_units(const ImplicitGemm& p, const uint4* rows,
                                            uint4* target) {
  constexpr int kWidth = kUnitElements<Raw>;
  using Row = std::conditional_t<kWidth == 4, float4, uint4>;
  const int lane = threadIdx.x % 32;
  const int unit = lane & (p.stage_units - 1);  // stage_units is a power of two
  const int step = 32 / p.stage_units;
  const auto* first =
      reinterpret_cast<const Row*>(rows) + unit * (kWidth * p.row_units + p.row_turn);
#pragma unroll 1
  for (int at = lane / p.stage_units; at < p.row_units; at += step) {
    Row square[kWidth];
#pragma unroll
    for (int c = 0; c < kWidth; ++c) square[c] = first[c * p.row_units + at];
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const SlotPlace place(p, at * kWidth + i - p.row_lead);
      store_position<Tile::kParts>(square, i, target + place.first + unit * p.unit_pitch,
                                   p.stage_units * p.unit_pitch, place.exists);
    }
  }
}

}  // namespace engine::cuda
