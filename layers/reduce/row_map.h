// Maps that need a statistic of the whole row first: normalisations and softmax.
//
// A RowMap is a Map (run_map.h) whose runs do not cross rows, with
//   State: what is reduced over a row (statistics.h), and Stats: what the map needs of it;
//   finish(state) -> Stats; constants(r, stats) -> the constants of run r, which lies in that row;
//   runs_per_row: FastDivide.
//
// Rows that fit the registers of a team (a part of a warp, a warp, or a block) are read once: the
// team reduces them, and maps what it holds. Longer rows are reduced in chunks by as many blocks as
// they need (segment_reduce.h), and read again by the map.
// Bytes moved: short rows once in and once out; long rows twice in and once out.
#pragma once

#include <cstdint>
#include <type_traits>

#include "layers/reduce/reduce_plan.h"
#include "layers/reduce/run_map.h"
#include "layers/reduce/segment_reduce.h"

namespace engine {

/// One team per row, grid stride over rows. Requires the row's packs to number at most
/// kTeam * kPacks. source may equal target.
template <typename T, int kTeam, int kPacks, typename Map>
__global__ void __launch_bounds__(cuda::kTeamBlock)
    row_map_kernel(Map map, const T* source, T* target, int64_t rows, int64_t length,
                   bool aligned) {
  using State = typename Map::State;
  constexpr int kWidth = cuda::kPackWidth<T>;
  constexpr int kTeams = cuda::kTeamBlock / kTeam;
  const int lane = threadIdx.x % kTeam;
  const int64_t stride = int64_t{gridDim.x} * kTeams;
  for (int64_t first_row = int64_t{blockIdx.x} * kTeams; first_row < rows; first_row += stride) {
    const int64_t row = first_row + threadIdx.x / kTeam;
    const int64_t begin = row * length;
    const int64_t end = row < rows ? begin + length : begin;
    const int64_t first = (begin / kWidth + lane) * kWidth;

    float values[kPacks][kWidth] = {};
    State state = State::identity();
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int64_t pack = first + int64_t{p} * kTeam * kWidth;
      cuda::load_pack(source + pack, {pack, begin, end, kWidth}, aligned, values[p]);
    }
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int64_t pack = first + int64_t{p} * kTeam * kWidth;
      const cuda::PackRange range(pack, begin, end, kWidth);
      state = State::merge(state, State::of(values[p], range.low, range.high));
    }
    const auto stats = map.finish(cuda::team_reduce<kTeam>(state));
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const int64_t pack = first + int64_t{p} * kTeam * kWidth;
      const cuda::PackRange range(pack, begin, end, kWidth);
      if (range.empty()) continue;
      map_pack(map, pack, range, values[p], [&](int64_t run) { return map.constants(run, stats); });
      cuda::store_pack(target + pack, range, aligned, values[p]);
    }
  }
}

/// A RowMap as a Map: the rows' Stats are in memory.
template <typename RowMap>
struct StoredStatsMap : RowMap {
  const typename RowMap::Stats* stats;

  __device__ auto constants(int64_t r) const {
    return RowMap::constants(r, stats[RowMap::runs_per_row.quotient(r)]);
  }
};

/// Stores the Stats of a row.
template <typename RowMap>
struct StoreStats {
  RowMap map;
  typename RowMap::Stats* stats;
  __device__ void operator()(int64_t row, const typename RowMap::State& state) const {
    stats[row] = map.finish(state);
  }
};

/// Rows of equal length as segments.
struct Rows {
  int64_t length;
  __device__ int64_t begin(int64_t row) const { return row * length; }
  __device__ int64_t end(int64_t row) const { return (row + 1) * length; }
};

/// Maps rows that are too long for registers. `workspace`: the rows' Stats, then their chunks.
template <typename T, typename RowMap>
void long_row_map(const char* name, const RowMap& map, const T* source, T* target, int64_t rows,
                  int64_t length, void* workspace, cudaStream_t stream) {
  auto* stats = static_cast<typename RowMap::Stats*>(workspace);
  segment_reduce<typename RowMap::State>(name, source, Rows{length}, rows, length,
                                         StoreStats<RowMap>{map, stats}, stats + rows, stream);
  run_map(name, StoredStatsMap<RowMap>{map, stats}, source, target, rows * length, stream);
}

/// target = map(source), both [rows, length]. `workspace` has row_map_bytes<RowMap> bytes.
template <typename T, typename RowMap>
void row_map(const char* name, const RowMap& map, const T* source, T* target, int64_t rows,
             int64_t length, void* workspace, cudaStream_t stream) {
  const int64_t packs = packs_of_row(length, cuda::kPackWidth<T>);
  if (packs > kRegisterPacks) {
    return long_row_map(name, map, source, target, rows, length, workspace, stream);
  }
  const bool aligned = cuda::is_pack_aligned(source) && cuda::is_pack_aligned(target);
  const auto launch = [&](auto team, auto packs_a_thread) {
    constexpr int kTeam = decltype(team)::value;
    constexpr int kPacks = decltype(packs_a_thread)::value;
    cuda::LaunchConfig config{name};
    config.grid_x = cuda::grid_for(rows, cuda::kTeamBlock / kTeam);
    config.block = cuda::kTeamBlock;
    config.stream = stream;
    cuda::launch(row_map_kernel<T, kTeam, kPacks, RowMap>, config, map, source, target, rows,
                 length, aligned);
  };
  using std::integral_constant;
  if (packs <= 8) return launch(integral_constant<int, 8>{}, integral_constant<int, 1>{});
  if (packs <= 64) return launch(integral_constant<int, 32>{}, integral_constant<int, 2>{});
  if (packs <= 256) return launch(integral_constant<int, 32>{}, integral_constant<int, 8>{});
  if (packs <= 512) return launch(integral_constant<int, 256>{}, integral_constant<int, 2>{});
  launch(integral_constant<int, 256>{}, integral_constant<int, 8>{});
}

}  // namespace engine
