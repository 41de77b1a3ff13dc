// How finely work is shared out among the threads of a ThreadPool.
#pragma once

#include <cstdint>

namespace engine::cpu {

/// Of multiply-adds in vectors, each counted as two, on one thread: close enough to share out by.
inline constexpr double kThreadFlopsPerSecond = 1e11;

/// Waking a thread for less work of one thread does not pay.
inline constexpr double kMinSharedSeconds = 20e-6;

/// The grain for ThreadPool::parallel_for over `items` that take one thread `seconds` in all:
/// everything where sharing does not pay, else pieces of at least 5 us.
inline int64_t grain_of(int64_t items, double seconds) {
  constexpr double kMinPieceSeconds = 5e-6;
  if (seconds < kMinSharedSeconds) return items;
  return static_cast<int64_t>(kMinPieceSeconds / seconds * static_cast<double>(items)) + 1;
}

/// What reading and writing one element takes one thread where no cache holds them, about.
inline constexpr double kElementSeconds = 0.4e-9;

/// The same for items that each pass over `elements` elements.
inline int64_t element_grain(int64_t items, int64_t elements = 1) {
  return grain_of(items,
                  kElementSeconds * static_cast<double>(items) * static_cast<double>(elements));
}

}  // namespace engine::cpu
