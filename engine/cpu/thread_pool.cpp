#include "engine/cpu/thread_pool.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>

namespace engine {
namespace {

// Waking a sleeping thread takes about half as long, and the layers of a model follow each other
// within less.
constexpr std::chrono::microseconds kSpinTime(100);

int hardware_threads() {
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// Waits a short while, without sleeping, for `ready()` to come true.
template <typename Ready>
void spin_until(const Ready& ready) {
  constexpr int kLooksAtAClock = 32;
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < kLooksAtAClock; ++i) {
      if (ready()) return;
      hwy::Pause();
    }
  } while (std::chrono::steady_clock::now() < end);
}

}  // namespace

// One parallel_for. Lives on the caller's stack until every piece is done and no worker holds it.
struct ThreadPool::Loop {
  Loop(int64_t items, int64_t least, int64_t thread_count, LoopBody function)
      : count(items), grain(least), threads(thread_count), body(function) {}

  int64_t count;
  int64_t grain;  // items in a piece at least
  int64_t threads;
  LoopBody body;
  Loop* later = nullptr;         // the next one of ThreadPool::loops_
  int64_t next = 0;              // first item not handed out
  std::atomic<int> running = 0;  // pieces being worked on; changed under the lock
  std::exception_ptr error;
  std::condition_variable done;

  bool exhausted() const { return next >= count; }

  // Takes one piece and works on it with the lock released. Pieces become smaller towards the end,
  // so that threads finish together without much hand-out cost.
  void run_piece(std::unique_lock<std::mutex>& lock) {
    const int64_t begin = next;
    const int64_t end = std::min(count, begin + std::max(grain, (count - begin) / (2 * threads)));
    next = end;
    ++running;
    lock.unlock();
    std::exception_ptr thrown;
    try {
      body(begin, end);
    } catch (...) {
      thrown = std::current_exception();
    }
    lock.lock();
    if (thrown) {
      error = thrown;
      next = count;
    }
    --running;
    if (exhausted() && running == 0) done.notify_all();
  }
};

ThreadPool::ThreadPool(int threads) {
  const int available = hardware_threads();
  if (threads <= 0) threads = available;
  spins_ = threads <= available;
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

std::shared_ptr<ThreadPool> ThreadPool::shared(int threads) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<ThreadPool>> pools;
  if (threads <= 0) threads = hardware_threads();
  const std::lock_guard lock(mutex);
  std::shared_ptr<ThreadPool> pool = pools[threads].lock();
  if (pool == nullptr) pools[threads] = pool = std::make_shared<ThreadPool>(threads);
  return pool;
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::add(Loop& loop) {
  Loop** end = &loops_;
  while (*end != nullptr) end = &(*end)->later;
  *end = &loop;
  has_loops_ = true;
}

void ThreadPool::remove(const Loop& loop) {
  Loop** place = &loops_;
  while (*place != nullptr && *place != &loop) place = &(*place)->later;
  if (*place != nullptr) *place = loop.later;
  has_loops_ = loops_ != nullptr;
}

// Waits for the pieces that workers still have.
void ThreadPool::finish(Loop& loop, std::unique_lock<std::mutex>& lock) {
  if (spins_ && loop.running != 0) {
    lock.unlock();
    spin_until([&] { return loop.running == 0; });
    lock.lock();
  }
  loop.done.wait(lock, [&] { return loop.running == 0; });
}

void ThreadPool::parallel_for(int64_t count, int64_t grain, LoopBody body) {
  if (count <= 0) return;
  grain = std::max(grain, int64_t{1});
  if (workers_.empty() || grain >= count) {
    body(0, count);
    return;
  }
  Loop loop(count, grain, threads(), body);
  std::unique_lock lock(mutex_);
  add(loop);
  ++running_;
  wake_.notify_all();
  while (!loop.exhausted()) loop.run_piece(lock);
  remove(loop);
  --running_;
  if (loops_ != nullptr) wake_.notify_all();
  finish(loop, lock);
  if (loop.error) std::rethrow_exception(loop.error);
}

bool ThreadPool::has_work() const { return loops_ != nullptr && running_ < threads(); }

void ThreadPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (spins_ && !has_loops_) {
      lock.unlock();
      spin_until([&] { return has_loops_.load(); });
      lock.lock();
    }
    wake_.wait(lock, [&] { return stopping_ || has_work(); });
    if (stopping_) return;
    if (loops_->exhausted()) {
      remove(*loops_);
    } else {
      ++running_;
      loops_->run_piece(lock);
      --running_;
    }
  }
}

}  // namespace engine
