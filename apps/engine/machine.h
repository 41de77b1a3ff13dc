// A device with what work on it needs, for measurements outside of a Session.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "engine/cpu/thread_pool.h"
#include "engine/cuda/runtime.h"
#include "engine/device.h"

namespace engine::cli {

/// Belongs to one thread.
class Machine {
 public:
  /// `threads` of the CPU; 0 takes all. Throws Error(kUnsupported) for a GPU that cannot be used.
  Machine(Device device, int threads);

  const DeviceInfo& info() const { return info_; }
  Device device() const { return info_.device; }
  CudaStream stream() const { return stream_ ? stream_->handle() : nullptr; }
  ThreadPool& threads() { return threads_; }

  /// Memory of the device, 256-byte aligned. Throws Error(kOutOfMemory).
  std::shared_ptr<void> allocate(int64_t bytes) const;
  void copy(void* target, const void* source, int64_t bytes) const;
  void fill(void* target, int value, int64_t bytes) const;
  /// Returns when all work is done. Throws Error(kDevice) where any of it failed.
  void wait() const;

  /// Median time of one call of `enqueue`, in seconds. Calls go round i = 0 ... sets - 1, so that
  /// each set of buffers is used as long after its last use as can be; they are timed in rounds of
  /// at least two milliseconds, after a warm-up, until `budget` seconds have passed but at least
  /// three times. On a GPU events take the time, and a round of short calls is one replay of a
  /// captured graph.
  double median_seconds(int64_t sets, double budget, const std::function<void(int64_t)>& enqueue);

 private:
  double seconds_of(const std::function<void()>& work) const;

  DeviceInfo info_;
  std::unique_ptr<cuda::Stream> stream_;  // null on the CPU
  std::unique_ptr<cuda::Timer> timer_;    // null on the CPU
  ThreadPool threads_;
};

}  // namespace engine::cli
