// Reduction of segments: each is a contiguous range [begin, end) of a tensor, such as a row or a
// pooling window; segments may overlap.
//
// A segment of any length is cut into chunks of kChunk elements, counted from its own begin, so
// that its result does not depend on what else is in the tensor. A team reduces a chunk: lanes read
// packs side by side, and merge their states in a fixed order (no atomics). Where a segment has
// several chunks, their states go to memory and a second kernel merges those of each segment.
// Bytes moved: every element read once, which is what limits it; states are 1/1000 of that.
#pragma once

#include <cstdint>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/pack.h"
#include "engine/cuda/team_reduce.h"
#include "layers/reduce/reduce_plan.h"

namespace engine {

/// The state of source[begin, end), on every thread of the team.
template <typename State, int kTeam, typename T>
__device__ __forceinline__ State reduce_range(const T* source, int64_t begin, int64_t end,
                                              bool aligned) {
  constexpr int kWidth = cuda::kPackWidth<T>;
  const int lane = threadIdx.x % kTeam;
  // Whole packs in the middle; single elements before and after, or all of them if unaligned.
  int64_t packs_begin = (begin + kWidth - 1) / kWidth * kWidth;
  int64_t packs_end = end / kWidth * kWidth;
  if (!aligned || packs_begin >= packs_end) packs_begin = packs_end = end;

  State state = State::identity();
#pragma unroll 4
  for (int64_t i = packs_begin + lane * kWidth; i < packs_end; i += kTeam * kWidth) {
    float values[kWidth];
    cuda::load_whole_pack(source + i, values);
    state = State::merge(state, State::of(values, 0, kWidth));
  }
  const int64_t before = packs_begin - begin;
  const int64_t singles = before + (end - packs_end);
  for (int64_t i = lane; i < singles; i += kTeam) {
    const float value[1] = {
        cuda::to_float(source[i < before ? begin + i : packs_end + i - before])};
    state = State::merge(state, State::of(value, 0, 1));
  }
  return cuda::team_reduce<kTeam>(state);
}

/// One team per piece: piece p is chunk p % chunks of segment p / chunks. Segments gives begin(s)
/// and end(s); finish(p, state) stores.
template <typename State, int kTeam, typename T, typename Segments, typename Finish>
__global__ void __launch_bounds__(cuda::kTeamBlock)
    segment_reduce_kernel(const T* source, Segments segments, int64_t pieces,
                          cuda::FastDivide chunks, bool aligned, Finish finish) {
  constexpr int kTeams = cuda::kTeamBlock / kTeam;
  const int64_t stride = int64_t{gridDim.x} * kTeams;
  for (int64_t first = int64_t{blockIdx.x} * kTeams; first < pieces; first += stride) {
    const int64_t piece = first + threadIdx.x / kTeam;
    int64_t begin = 0, end = 0;
    if (piece < pieces) {
      const int64_t segment = chunks.quotient(piece);
      begin = segments.begin(segment) + (piece - segment * chunks.divisor()) * kChunk;
      end = max(begin, min(begin + kChunk, segments.end(segment)));
    }
    const State state = reduce_range<State, kTeam>(source, begin, end, aligned);
    if (piece < pieces && threadIdx.x % kTeam == 0) finish(piece, state);
  }
}

/// One block per segment: merges its `chunks` states.
template <typename State, typename Finish>
__global__ void __launch_bounds__(cuda::kTeamBlock)
    merge_chunks_kernel(const State* states, int64_t segments, int64_t chunks, Finish finish) {
  for (int64_t segment = blockIdx.x; segment < segments; segment += gridDim.x) {
    State state = State::identity();
    for (int64_t chunk = threadIdx.x; chunk < chunks; chunk += cuda::kTeamBlock) {
      state = State::merge(state, states[segment * chunks + chunk]);
    }
    state = cuda::team_reduce<cuda::kTeamBlock>(state);
    if (threadIdx.x == 0) finish(segment, state);
  }
}

/// Stores a piece's state.
template <typename State>
struct StoreState {
  State* states;
  __device__ void operator()(int64_t piece, const State& state) const { states[piece] = state; }
};

/// Reduces `count` segments of up to `longest` elements: finish(segment, state) for each.
/// `workspace` holds count * chunks_of(longest) states where that is more than one a segment.
template <typename State, typename T, typename Segments, typename Finish>
void segment_reduce(const char* name, const T* source, Segments segments, int64_t count,
                    int64_t longest, Finish finish, void* workspace, cudaStream_t stream) {
  constexpr int64_t kWarpLongest = 1024;
  const bool aligned = cuda::is_pack_aligned(source);
  const int64_t chunks = chunks_of(longest);
  const cuda::FastDivide divide(chunks);
  cuda::LaunchConfig config{name};
  config.block = cuda::kTeamBlock;
  config.stream = stream;
  if (longest <= kWarpLongest) {
    config.grid_x = cuda::grid_for(count, cuda::kTeamBlock / 32);
    cuda::launch(segment_reduce_kernel<State, 32, T, Segments, Finish>, config, source, segments,
                 count, divide, aligned, finish);
    return;
  }
  config.grid_x = cuda::grid_for(count * chunks, 1);
  if (chunks == 1) {
    cuda::launch(segment_reduce_kernel<State, cuda::kTeamBlock, T, Segments, Finish>, config,
                 source, segments, count, divide, aligned, finish);
    return;
  }
  State* states = static_cast<State*>(workspace);
  cuda::launch(segment_reduce_kernel<State, cuda::kTeamBlock, T, Segments, StoreState<State>>,
               config, source, segments, count * chunks, divide, aligned,
               StoreState<State>{states});
  config.grid_x = cuda::grid_for(count, 1);
  cuda::launch(merge_chunks_kernel<State, Finish>, config, states, count, chunks, finish);
}

}  // namespace engine
