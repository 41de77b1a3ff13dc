// Reduction over a team: a part of a warp, a warp, or a block, that works on one row.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

namespace engine::cuda {

/// Threads of every block that is made of teams.
inline constexpr int kTeamBlock = 256;

/// The state of the lane whose index differs from this one's in the bit `mask`.
template <typename State>
__device__ __forceinline__ State shuffle_xor(State state, int mask) {
  static_assert(sizeof(State) % 4 == 0);
  uint32_t words[sizeof(State) / 4];
  memcpy(words, &state, sizeof(State));
#pragma unroll
  for (uint32_t& word : words) word = __shfl_xor_sync(0xffffffffu, word, mask);
  memcpy(&state, words, sizeof(State));
  return state;
}

/// Merges the states of a team's threads; every thread gets the result, the same to the last bit.
/// kTeam is a power of two up to 32, or kTeamBlock. Every thread of the block must call it.
template <int kTeam, typename State>
__device__ __forceinline__ State team_reduce(State state) {
  constexpr int kLanes = kTeam < 32 ? kTeam : 32;
#pragma unroll
  for (int mask = 1; mask < kLanes; mask *= 2) {
    const State other = shuffle_xor(state, mask);
    // Both lanes merge in the same order, or they would round differently.
    state = (threadIdx.x & mask) ? State::merge(other, state) : State::merge(state, other);
  }
  if constexpr (kTeam > 32) {
    static_assert(kTeam == kTeamBlock);
    __shared__ State warps[kTeam / 32];
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = state;
    __syncthreads();
    state = warps[0];
#pragma unroll
    for (int warp = 1; warp < kTeam / 32; ++warp) state = State::merge(state, warps[warp]);
    __syncthreads();  // the next reduction writes the same memory
  }
  return state;
}

}  // namespace engine::cuda
