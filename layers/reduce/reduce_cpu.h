// Reductions on the CPU: vectorised over a contiguous range, threaded over segments and chunks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/cpu/share_work.h"
#include "engine/cpu/thread_pool.h"
#include "layers/reduce/reduce_plan.h"
#include "layers/reduce/statistics.h"

namespace engine {

/// The state of `count` elements, at least 1.
Moments<double> moments_of(const float* x, int64_t count);
ExpSum exp_sum_of(const float* x, int64_t count);
Sum<double> sum_of(const float* x, int64_t count);
Maximum maximum_of(const float* x, int64_t count);

/// finish(s, state) for each of `count` segments of at most `longest` elements, where segment s is
/// x[segments.begin(s), segments.end(s)) and `of` is one of the functions above. `workspace` holds
/// chunk_bytes(count, longest, sizeof(State)).
template <typename State, typename Segments, typename Finish>
void segment_reduce_cpu(const float* x, State (*of)(const float*, int64_t),
                        const Segments& segments, int64_t count, int64_t longest,
                        const Finish& finish, void* workspace, ThreadPool& threads) {
  const int64_t chunks = chunks_of(longest);
  const auto reduce_chunk = [&](int64_t segment, int64_t chunk) {
    const int64_t begin = segments.begin(segment) + chunk * kChunk;
    const int64_t end = std::min(begin + kChunk, segments.end(segment));
    return begin < end ? of(x + begin, end - begin) : State::identity();
  };
  if (chunks == 1) {
    threads.parallel_for(count, cpu::element_grain(count, longest),
                         [&](int64_t first, int64_t last) {
                           for (int64_t s = first; s < last; ++s) finish(s, reduce_chunk(s, 0));
                         });
    return;
  }
  State* states = static_cast<State*>(workspace);
  threads.parallel_for(count * chunks, cpu::element_grain(count * chunks, kChunk),
                       [&](int64_t first, int64_t last) {
                         for (int64_t i = first; i < last; ++i)
                           states[i] = reduce_chunk(i / chunks, i % chunks);
                       });
  for (int64_t s = 0; s < count; ++s) {
    State state = State::identity();
    for (int64_t c = 0; c < chunks; ++c) state = State::merge(state, states[s * chunks + c]);
    finish(s, state);
  }
}

}  // namespace engine
