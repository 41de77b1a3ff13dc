#include "engine/plan/arena.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

namespace engine {
namespace {

bool overlap(const ArenaBuffer& a, const ArenaBuffer& b) {
  const bool in_time = a.first <= b.last && b.first <= a.last;
  const bool in_space = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
  return in_time && in_space;
}

}  // namespace

TEST_CASE("buffers that live at different times share memory") {
  std::vector<ArenaBuffer> buffers{{1024, 0, 1}, {1024, 2, 3}};
  CHECK(place_buffers(buffers) == 1024);
  CHECK(buffers[0].offset == buffers[1].offset);
}

TEST_CASE("a chain needs its two largest neighbours and no more") {
  std::vector<ArenaBuffer> buffers{{4096, 0, 1}, {8192, 1, 2}, {4096, 2, 3}, {256, 3, 4}};
  CHECK(place_buffers(buffers) == 4096 + 8192);
}

TEST_CASE("an arena without buffers is empty") {
  std::vector<ArenaBuffer> buffers;
  CHECK(place_buffers(buffers) == 0);
}

TEST_CASE("random lifetimes never overlap, and offsets are aligned and inside") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 generator(seed);
    const auto draw = [&](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(generator);
    };
    std::vector<ArenaBuffer> buffers(static_cast<size_t>(draw(1, 40)));
    for (ArenaBuffer& buffer : buffers) {
      const int first = draw(0, 30);
      buffer = {draw(1, 100000), first, first + draw(0, 6)};
    }
    const int64_t size = place_buffers(buffers);
    for (size_t i = 0; i < buffers.size(); ++i) {
      CHECK(buffers[i].offset % kArenaAlignment == 0);
      CHECK(buffers[i].offset + buffers[i].bytes <= size);
      for (size_t j = 0; j < i; ++j) CHECK_FALSE(overlap(buffers[i], buffers[j]));
    }
  }
}

}  // namespace engine
