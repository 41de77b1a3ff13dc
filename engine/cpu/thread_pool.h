// ThreadPool: splits loops over CPU threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace engine {

/// A function of a piece [begin, end) of a loop, called where it is: it must outlive the LoopBody.
/// Unlike std::function it never allocates.
class LoopBody {
 public:
  template <typename Body>
  LoopBody(const Body& body)
      : body_(&body), call_([](const void* object, int64_t begin, int64_t end) {
          (*static_cast<const Body*>(object))(begin, end);
        }) {}

  void operator()(int64_t begin, int64_t end) const { call_(body_, begin, end); }

 private:
  const void* body_;
  void (*call_)(const void*, int64_t, int64_t);
};

/// A fixed set of worker threads. Thread-safe: loops started from several threads at once share the
/// workers, and every caller works on its own loop too. Workers only fill up the number of threads:
/// with as many callers as that, they leave each to its own loop. Workers look for the next loop
/// for a tenth of a millisecond before they sleep, unless there are more of them than the machine
/// has threads.
class ThreadPool {
 public:
  /// `threads` counts the caller: 1 runs everything inline. 0 takes the hardware's count.
  explicit ThreadPool(int threads = 0);
  /// The process's pool of that many threads, for as long as anyone holds it.
  static std::shared_ptr<ThreadPool> shared(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(begin, end) over pieces of [0, count) of at least `grain` items each, and returns
  /// when all are done. An exception out of a piece is rethrown here.
  void parallel_for(int64_t count, int64_t grain, LoopBody body);

 private:
  struct Loop;
  void add(Loop& loop);
  void remove(const Loop& loop);  // where it still is
  void finish(Loop& loop, std::unique_lock<std::mutex>& lock);
  bool has_work() const;  // for one more worker
  void work();

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Loop* loops_ = nullptr;  // first of those that still have pieces to hand out
  std::atomic<bool> has_loops_ = false;
  int running_ = 0;  // callers and workers that work on pieces
  bool stopping_ = false;
  bool spins_ = false;
};

}  // namespace engine
