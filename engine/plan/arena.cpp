#include "engine/plan/arena.h"

#include <algorithm>
#include <numeric>

namespace engine {
namespace {

int64_t aligned(int64_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

bool alive_together(const ArenaBuffer& a, const ArenaBuffer& b) {
  return a.first <= b.last && b.first <= a.last;
}

// The lowest offset with room for `buffer` between `placed`, which is sorted by offset.
int64_t lowest_free_offset(const ArenaBuffer& buffer, const std::vector<ArenaBuffer*>& placed) {
  int64_t offset = 0;
  for (const ArenaBuffer* other : placed) {
    if (!alive_together(buffer, *other)) continue;
    if (other->offset - offset >= aligned(buffer.bytes)) break;
    offset = std::max(offset, other->offset + aligned(other->bytes));
  }
  return offset;
}

}  // namespace

int64_t place_buffers(std::vector<ArenaBuffer>& buffers) {
  std::vector<ArenaBuffer*> order(buffers.size());
  std::transform(buffers.begin(), buffers.end(), order.begin(), [](auto& b) { return &b; });
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->bytes > b->bytes; });
  std::vector<ArenaBuffer*> placed;
  int64_t size = 0;
  for (ArenaBuffer* buffer : order) {
    buffer->offset = lowest_free_offset(*buffer, placed);
    size = std::max(size, buffer->offset + aligned(buffer->bytes));
    const auto behind = [](const ArenaBuffer* a, const ArenaBuffer* b) {
      return a->offset < b->offset;
    };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), buffer, behind), buffer);
  }
  return size;
}

}  // namespace engine
