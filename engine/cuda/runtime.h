// What the engine needs of the CUDA runtime, without its headers. In a build without CUDA the same
// functions exist (engine/cpu/cuda_unavailable.cpp): device_count() is 0 and everything else throws
// Error(kUnsupported).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "engine/device.h"
#include "engine/layer.h"

namespace engine {

#if ENGINE_WITH_CUDA
/// Whether this build has CUDA kernels. Branch on it with `if constexpr` around launch functions.
inline constexpr bool kWithCuda = true;
#else
inline constexpr bool kWithCuda = false;
#endif

namespace cuda {

/// GPUs that can be used: 0 without CUDA, without a driver, or with one too old.
int device_count();

/// Why device_count() is 0: "this build has no CUDA", the driver's message, ...; else "".
std::string why_no_device();

DeviceInfo device_info(int index);

/// Whether the kernels run on that GPU: false where it is older than what they are compiled for.
bool has_kernels_for(int index);

/// A stream of one GPU. It is ordered with the legacy default stream, on which plain tensors are
/// allocated, so memory from there may be used on it at once.
class Stream {
 public:
  explicit Stream(Device device);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Device device() const { return device_; }
  CudaStream handle() const { return handle_; }
  /// Waits for all work on it; throws Error(kDevice) where any of it failed.
  void synchronize() const;

 private:
  Device device_;
  CudaStream handle_ = nullptr;
};

/// Device memory in stream order, returned to the pool in that order when the last handle goes.
/// A null stream is the legacy default stream. Throws Error(kOutOfMemory).
std::shared_ptr<void> allocate(Device device, int64_t bytes, std::shared_ptr<Stream> stream = {});

/// Page-locked host memory. Throws Error(kOutOfMemory).
std::shared_ptr<void> allocate_pinned(int64_t bytes);

/// Enqueues a copy between any two of host and GPU memory; pageable host memory makes it wait.
void copy_async(void* target, const void* source, int64_t bytes, Device device, CudaStream stream);

/// Enqueues a fill with one byte value.
void fill_async(void* target, int value, int64_t bytes, Device device, CudaStream stream);

/// Waits for the legacy default stream.
void synchronize_default(Device device);

/// Makes `device` current on this thread, as launches need; restores nothing.
void use_device(Device device);

/// Enqueues the conversion of `count` elements between floating-point dtypes, or of i32 to i64.
void convert(const void* source, DType source_dtype, void* target, DType target_dtype,
             int64_t count, CudaStream stream);

/// Work recorded once and launched as a whole any number of times: the gaps between its kernels are
/// shorter than those of single launches.
class Graph {
 public:
  /// Records what `enqueue` puts on the stream, none of which runs. It may neither wait nor use
  /// another stream. Throws what `enqueue` throws, and Error(kDevice) where it did what cannot be
  /// recorded.
  Graph(const Stream& stream, const std::function<void()>& enqueue);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Enqueues all of it. Memory that the recorded work uses must still be there.
  void launch(CudaStream stream) const;

 private:
  void* executable_ = nullptr;  // cudaGraphExec_t
};

/// GPU time between two points of a stream, in milliseconds.
class Timer {
 public:
  explicit Timer(Device device);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  void start(CudaStream stream);
  void stop(CudaStream stream);
  /// Waits for stop() to be reached.
  double milliseconds() const;

 private:
  Device device_;
  void* begin_ = nullptr;
  void* end_ = nullptr;
};

}  // namespace cuda
}  // namespace engine
