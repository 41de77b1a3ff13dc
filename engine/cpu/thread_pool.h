// ThreadPool: splits loops over CPU threads.
#pragma once

#include <oneapi/tbb/task_arena.h>

#include <cstdint>

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

/// Threads that loops run on, callers counted: no more work on a pool's loops at once, however many
/// call. Thread-safe, also from inside of loops. Workers are oneTBB's: all pools of a process, and
/// a host program that uses oneTBB, share one for each thread of the machine but the caller's.
class ThreadPool {
 public:
  /// `threads` counts the caller: 1 runs everything inline. 0 takes the hardware's count.
  explicit ThreadPool(int threads = 0);

  int threads() const { return threads_; }

  /// Calls body(begin, end) over pieces of [0, count) of at least `grain` items each, and returns
  /// when all are done. An exception out of a piece is rethrown here.
  void parallel_for(int64_t count, int64_t grain, LoopBody body);

 private:
  int threads_;
  tbb::task_arena arena_;
};

}  // namespace engine
