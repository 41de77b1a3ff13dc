#include "engine/cpu/elementwise_step.h"

#include <utility>

#include "engine/cpu/thread_pool.h"

namespace engine::cpu {

Step elementwise_step(std::string kernel, int64_t count, double seconds, int overwrites,
                      std::function<void(const StepContext&, int64_t, int64_t)> range) {
  Step step{std::move(kernel)};
  const int64_t grain = grain_of(count, seconds);
  step.enqueue = [=](const StepContext& c) {
    c.threads->parallel_for(count, grain,
                            [&](int64_t begin, int64_t end) { range(c, begin, end); });
  };
  step.range = std::move(range);
  step.seconds = seconds;
  step.overwrites = overwrites;
  return step;
}

}  // namespace engine::cpu
