// The items that a convolution's work is shared out in: for each sample and group, tiles along the
// length, and splits of the output channels.
#pragma once

#include <cstdint>

namespace engine::cpu {

/// Which item of them one is. The splits of a tile follow each other, since they read the same.
struct ItemPlace {
  int64_t part;  ///< sample and group
  int64_t tile;
  int64_t split;

  ItemPlace(int64_t index, int64_t tiles, int64_t splits)
      : part(index / splits / tiles), tile(index / splits % tiles), split(index % splits) {}
};

/// Work to cut into items.
struct SharedWork {
  int64_t parts;
  int64_t units;       ///< of each part along the length: what tiles are made of
  int64_t most_units;  ///< of a tile
  int64_t most_splits;
  double seconds;       ///< that all of it takes one thread, without what follows
  double pack_seconds;  ///< of packing all inputs once, which each split of a tile does by itself
  int64_t weights;      ///< of a part, which each of its tiles reads
};

/// How each part is cut.
struct Sharing {
  int64_t units;  ///< of a tile
  int64_t tiles;
  int64_t splits;
};

/// The cut by which so many threads should be done first.
Sharing share_out(const SharedWork& work, int threads);

/// Calls run(item, next) for item_at(i) of each i in [begin, end), not empty, with the item behind
/// it, or null, so that its inputs can be fetched meanwhile.
template <typename ItemAt, typename Run>
void run_in_turn(int64_t begin, int64_t end, const ItemAt& item_at, const Run& run) {
  auto item = item_at(begin);
  for (int64_t i = begin + 1; i < end; ++i) {
    const auto next = item_at(i);
    run(item, &next);
    item = next;
  }
  run(item, nullptr);
}

}  // namespace engine::cpu
