#include "engine/cpu/thread_pool.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
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

TEST_CASE("workers take nothing where callers make up the number of threads") {
  ThreadPool pool(2);
  std::atomic<int> inside{0};
  std::atomic<bool> done{false};
  std::atomic<int> taken{0};  // by the worker, while both callers are at work
  const auto call = [&] {
    const auto caller = std::this_thread::get_id();
    bool first = true;
    pool.parallel_for(1000, 1, [&](int64_t, int64_t) {
      if (std::this_thread::get_id() != caller) {
        if (inside == 2 && !done) ++taken;
      } else if (first) {
        first = false;
        ++inside;
        while (inside < 2) std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        done = true;
      }
    });
  };
  std::thread other(call);
  call();
  other.join();
  CHECK(taken <= 1);  // one that it had taken just before
}

TEST_CASE("a process has one pool for each number of threads, while somebody holds it") {
  const std::shared_ptr<ThreadPool> pool = ThreadPool::shared(3);
  CHECK(pool->threads() == 3);
  CHECK(ThreadPool::shared(3) == pool);
  CHECK(ThreadPool::shared(2) != pool);
  CHECK(ThreadPool::shared(0)->threads() == ThreadPool(0).threads());
  const std::weak_ptr<ThreadPool> unused = ThreadPool::shared(5);
  CHECK(unused.expired());
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
