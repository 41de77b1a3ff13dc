#include "engine/cpu/thread_pool.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace engine::test {
namespace {

// How often each of `count` items was visited by one parallel_for.
std::vector<int> visits(ThreadPool& pool, int64_t count, int64_t grain) {
  std::vector<std::atomic<int>> counters(static_cast<size_t>(count));
  pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++counters[static_cast<size_t>(i)];
  });
  return {counters.begin(), counters.end()};
}

bool each_once(const std::vector<int>& counts) {
  return std::all_of(counts.begin(), counts.end(), [](int count) { return count == 1; });
}

TEST_CASE("parallel_for visits every item once") {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const int64_t count : {1, 2, 3, 7, 64, 1000, 12345}) {
      for (const int64_t grain : {0, 1, 10, 5000}) {
        CAPTURE(count);
        CAPTURE(grain);
        CHECK(each_once(visits(pool, count, grain)));
      }
    }
  }
  CHECK(ThreadPool(0).threads() >= 1);
}

TEST_CASE("parallel_for of nothing calls nothing") {
  ThreadPool pool(2);
  bool called = false;
  pool.parallel_for(0, 1, [&](int64_t, int64_t) { called = true; });
  CHECK_FALSE(called);
}

TEST_CASE("pieces have at least `grain` items, but for the last") {
  ThreadPool pool(4);
  std::atomic<int> small{0};
  pool.parallel_for(1003, 100, [&](int64_t begin, int64_t end) {
    if (end - begin < 100 && end != 1003) ++small;
  });
  CHECK(small == 0);
}

TEST_CASE("one thread runs everything inline") {
  ThreadPool pool(1);
  const auto caller = std::this_thread::get_id();
  pool.parallel_for(100, 1, [&](int64_t, int64_t) { CHECK(std::this_thread::get_id() == caller); });
}

TEST_CASE("loops from several threads share the pool") {
  ThreadPool pool(3);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (int round = 0; round < 100; ++round) {
        if (!each_once(visits(pool, 100 + 37 * caller + round, 1 + round % 7))) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

#ifndef __SANITIZE_THREAD__  // with which every caller works on its own
TEST_CASE("callers and workers of a pool are no more than its threads") {
  ThreadPool pool(2);
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        pool.parallel_for(8, 1, [&](int64_t, int64_t) {
          const int now = ++inside;
          int before = most;
          while (before < now && !most.compare_exchange_weak(before, now)) {
          }
          std::this_thread::sleep_for(std::chrono::microseconds(100));
          --inside;
        });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(most <= 2);
}
#endif

TEST_CASE("pools share the process's workers") {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  for (int i = 0; i < 4; ++i) {
    ThreadPool pool;
    pool.parallel_for(1000, 1, [&](int64_t, int64_t) {
      const std::lock_guard lock(mutex);
      seen.insert(std::this_thread::get_id());
    });
  }
  CHECK(static_cast<int>(seen.size()) <= ThreadPool().threads());
}

TEST_CASE("a loop inside a loop finishes") {
  ThreadPool pool(3);
  std::atomic<int> items{0};
  pool.parallel_for(8, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      pool.parallel_for(50, 1,
                        [&](int64_t from, int64_t to) { items += static_cast<int>(to - from); });
    }
  });
  CHECK(items == 400);
}

TEST_CASE("an exception in a piece reaches the caller, and the pool lives on") {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      CHECK_THROWS_WITH_AS(pool.parallel_for(1000, 1,
                                             [&](int64_t begin, int64_t end) {
                                               if (begin <= 500 && 500 < end) {
                                                 throw std::runtime_error("item 500");
                                               }
                                             }),
                           "item 500", std::runtime_error);
    }
    CHECK(each_once(visits(pool, 1000, 1)));
  }
}

TEST_CASE("an exception in one caller's loop leaves another caller's alone") {
  ThreadPool pool(3);
  std::atomic<int> wrong{0};
  std::thread failing([&] {
    for (int round = 0; round < 200; ++round) {
      try {
        pool.parallel_for(64, 1, [](int64_t, int64_t) { throw std::runtime_error("always"); });
        ++wrong;
      } catch (const std::runtime_error&) {
      }
    }
  });
  for (int round = 0; round < 200; ++round) {
    if (!each_once(visits(pool, 64, 1))) ++wrong;
  }
  failing.join();
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace engine::test
