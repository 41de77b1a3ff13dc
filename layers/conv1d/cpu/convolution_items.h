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
