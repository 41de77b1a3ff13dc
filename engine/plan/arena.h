// Places buffers with known lifetimes in one arena.
#pragma once

#include <cstdint>
#include <vector>

namespace engine {

/// Alignment of every buffer in an arena, in bytes: what a GPU's widest loads and TMA ask for.
inline constexpr int64_t kArenaAlignment = 256;

/// A buffer that must exist from step `first` to step `last`, both included.
struct ArenaBuffer {
  int64_t bytes = 0;
  int first = 0;
  int last = 0;
  int64_t offset = 0;  ///< the result
};

/// Sets every offset so that buffers alive at the same step do not overlap; returns the arena's
/// size. Greedy by size, largest first, each at the lowest offset that is free for its lifetime:
/// https://arxiv.org/abs/2001.03288, "greedy by size for offset calculation".
int64_t place_buffers(std::vector<ArenaBuffer>& buffers);

}  // namespace engine
