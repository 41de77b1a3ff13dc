#include "engine/cpu/thread_pool.h"

#include <oneapi/tbb/info.h>
#include <oneapi/tbb/parallel_for.h>

#include <algorithm>

namespace engine {
namespace {

// ThreadSanitizer does not see how oneTBB's threads wait for each other, and would report every
// loop; what is left for it to check are threads of the host.
#ifdef __SANITIZE_THREAD__
constexpr bool kAlwaysInline = true;
#else
constexpr bool kAlwaysInline = false;
#endif

}  // namespace

ThreadPool::ThreadPool(int threads)
    : threads_(threads > 0 ? threads : tbb::info::default_concurrency()),
      arena_(std::min(threads_, tbb::info::default_concurrency())) {}

void ThreadPool::parallel_for(int64_t count, int64_t grain, LoopBody body) {
  if (count <= 0) return;
  const int64_t pieces = count / std::max(grain, int64_t{1});
  if (kAlwaysInline || threads_ == 1 || pieces <= 1) return body(0, count);
  const auto first_of = [&](int64_t piece) {
    return count / pieces * piece + std::min(piece, count % pieces);
  };
  arena_.execute([&] {
    tbb::parallel_for(tbb::blocked_range<int64_t>(0, pieces), [&](const auto& range) {
      body(first_of(range.begin()), first_of(range.end()));
    });
  });
}

}  // namespace engine
