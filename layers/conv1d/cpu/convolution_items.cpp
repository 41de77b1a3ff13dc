#include "layers/conv1d/cpu/convolution_items.h"

#include <algorithm>

#include "engine/cpu/share_work.h"
#include "engine/round_up.h"

namespace engine::cpu {
namespace {

// More of them even nothing out.
constexpr int64_t kItemsOfAThread = 8;
// What an item takes beside its products, with handing it to a thread.
constexpr double kItemSeconds = 2e-6;
// What a weight's way from a cache that threads share takes.
constexpr double kWeightSeconds = 5e-11;
// Of an item's time, for which the last thread is waited for: they are not equally fast.
constexpr double kWait = 0.25;

Sharing in_tiles(const SharedWork& work, int64_t tiles, int64_t splits) {
  const int64_t units = ceil_divide(work.units, tiles);
  return {units, ceil_divide(work.units, units), splits};
}

double seconds_of(const SharedWork& work, const Sharing& sharing, int threads) {
  const double tile = static_cast<double>(sharing.units) / static_cast<double>(work.units) /
                      static_cast<double>(work.parts);
  const double split = static_cast<double>(ceil_divide(work.most_splits, sharing.splits)) /
                       static_cast<double>(work.most_splits);
  const double weights = split * static_cast<double>(work.weights) * kWeightSeconds;
  const double item = tile * (split * work.seconds + work.pack_seconds) + weights + kItemSeconds;
  const int64_t items = work.parts * sharing.tiles * sharing.splits;
  return (static_cast<double>(ceil_divide(items, threads)) + kWait) * item;
}

}  // namespace

Sharing share_out(const SharedWork& work, int threads) {
  const int64_t least_tiles = ceil_divide(work.units, work.most_units);
  Sharing best = in_tiles(work, least_tiles, 1);
  if (threads == 1 || work.seconds < kMinSharedSeconds) return best;
  const auto enough = [&](int64_t items) { return ceil_divide(kItemsOfAThread * threads, items); };
  double best_seconds = seconds_of(work, best, threads);
  const int64_t most_tiles = std::clamp(enough(work.parts), least_tiles, work.units);
  for (int64_t tiles = least_tiles; tiles <= most_tiles; ++tiles) {
    const int64_t most_splits = std::min(enough(work.parts * tiles), work.most_splits);
    for (int64_t splits = 1; splits <= most_splits; ++splits) {
      const Sharing sharing = in_tiles(work, tiles, splits);
      const double seconds = seconds_of(work, sharing, threads);
      if (seconds >= best_seconds) continue;
      best = sharing;
      best_seconds = seconds;
    }
  }
  return best;
}

}  // namespace engine::cpu
