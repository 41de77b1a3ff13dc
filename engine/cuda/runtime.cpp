#include "engine/cuda/runtime.h"

#include <cuda_runtime.h>
#include <fmt/format.h>

#include "engine/cuda/check.h"
#include "engine/cuda/launch.h"
#include "engine/error.h"

namespace engine::cuda {
namespace {

constexpr int kOldestArchitecture = 80;  // the oldest that the kernels are compiled for

cudaError_t count_devices(int* count) {
  static int found = 0;
  static const cudaError_t status = cudaGetDeviceCount(&found);
  *count = status == cudaSuccess ? found : 0;
  return status;
}

// The default pool keeps freed memory, so that a session's next run does not go to the driver.
void keep_freed_memory(int index) {
  cudaMemPool_t pool = nullptr;
  check(cudaDeviceGetDefaultMemPool(&pool, index), "cudaDeviceGetDefaultMemPool");
  uint64_t threshold = UINT64_MAX;
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold),
        "cudaMemPoolSetAttribute");
}

}  // namespace

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // a sticky status would fail the next, innocent call
  const auto kind =
      status == cudaErrorMemoryAllocation ? ErrorKind::kOutOfMemory : ErrorKind::kDevice;
  throw Error(
      kind, fmt::format("{}: {} ({})", what, cudaGetErrorString(status), cudaGetErrorName(status)));
}

int device_count() {
  int count = 0;
  count_devices(&count);
  return count;
}

std::string why_no_device() {
  int count = 0;
  const cudaError_t status = count_devices(&count);
  if (count > 0) return "";
  return fmt::format("no NVIDIA GPU can be used: {}",
                     status == cudaSuccess ? "none found" : cudaGetErrorString(status));
}

DeviceInfo device_info(int index) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
  return {Device::cuda(index),
          properties.name,
          static_cast<int64_t>(properties.totalGlobalMem),
          properties.multiProcessorCount,
          properties.major * 10 + properties.minor,
          properties.l2CacheSize};
}

bool has_kernels_for(int index) {
  return device_info(index).compute_capability >= kOldestArchitecture;
}

Stream::Stream(Device device) : device_(device) {
  use_device(device);
  if (!has_kernels_for(device.index)) {
    const DeviceInfo info = device_info(device.index);
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{} has compute capability {}.{}; the kernels need 8.0 (Ampere) or "
                            "later; use --device cpu",
                            info.name, info.compute_capability / 10, info.compute_capability % 10));
  }
  keep_freed_memory(device.index);
  check(cudaStreamCreate(&handle_), "cudaStreamCreate");
}

Stream::~Stream() {
  if (handle_) cudaStreamDestroy(handle_);
}

void Stream::synchronize() const {
  check(cudaStreamSynchronize(handle_), "waiting for the GPU's stream");
}

std::shared_ptr<void> allocate(Device device, int64_t bytes, std::shared_ptr<Stream> stream) {
  use_device(device);
  const cudaStream_t handle = stream ? stream->handle() : nullptr;
  void* memory = nullptr;
  const cudaError_t status =
      cudaMallocAsync(&memory, static_cast<size_t>(bytes < 1 ? 1 : bytes), handle);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw Error(ErrorKind::kOutOfMemory,
                fmt::format("out of GPU memory: {:.1f} MB wanted on {}, {:.1f} of {:.1f} MB free; "
                            "use a smaller batch or length, or fp16",
                            bytes / 1e6, to_string(device), free / 1e6, total / 1e6));
  }
  check(status, "cudaMallocAsync");
  return {memory, [device, stream](void* pointer) {
            // A destructor's path: the status has nobody to go to.
            cudaSetDevice(device.index);
            cudaFreeAsync(pointer, stream ? stream->handle() : nullptr);
          }};
}

std::shared_ptr<void> allocate_pinned(int64_t bytes) {
  void* memory = nullptr;
  check(cudaMallocHost(&memory, static_cast<size_t>(bytes < 1 ? 1 : bytes)), "cudaMallocHost");
  return {memory, [](void* pointer) { cudaFreeHost(pointer); }};
}

void copy_async(void* target, const void* source, int64_t bytes, Device device, CudaStream stream) {
  use_device(device);
  check(cudaMemcpyAsync(target, source, static_cast<size_t>(bytes), cudaMemcpyDefault, stream),
        "cudaMemcpyAsync");
}

void fill_async(void* target, int value, int64_t bytes, Device device, CudaStream stream) {
  use_device(device);
  check(cudaMemsetAsync(target, value, static_cast<size_t>(bytes), stream), "cudaMemsetAsync");
}

void synchronize_default(Device device) {
  use_device(device);
  check(cudaStreamSynchronize(nullptr), "waiting for the GPU's default stream");
}

void use_device(Device device) { check(cudaSetDevice(device.index), "cudaSetDevice"); }

void launch_kernel(const void* kernel, const LaunchConfig& config, void** arguments) {
  if (config.grid_x > kMaxGridX || config.grid_y > kMaxGridYZ || config.grid_z > kMaxGridYZ) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{}: a grid of {} x {} x {} blocks is beyond CUDA's limits",
                            config.name, config.grid_x, config.grid_y, config.grid_z));
  }
  constexpr int64_t kDefaultSharedLimit = 48 * 1024;
  if (config.shared_bytes > kDefaultSharedLimit) {
    const cudaError_t status = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(config.shared_bytes));
    if (status == cudaErrorInvalidValue) {
      cudaGetLastError();
      throw Error(
          ErrorKind::kUnsupported,
          fmt::format("{}: {} bytes of shared memory for a block are beyond this GPU's limit",
                      config.name, config.shared_bytes));
    }
    check(status, config.name);
  }
  cudaLaunchConfig_t launch{};
  launch.gridDim = dim3(static_cast<unsigned>(config.grid_x), static_cast<unsigned>(config.grid_y),
                        static_cast<unsigned>(config.grid_z));
  launch.blockDim = dim3(static_cast<unsigned>(config.block));
  launch.dynamicSmemBytes = static_cast<size_t>(config.shared_bytes);
  launch.stream = config.stream;
  cudaLaunchAttribute attributes[2] = {};
  launch.attrs = attributes;
  if (config.begins_early) {
    cudaLaunchAttribute& early = attributes[launch.numAttrs++];
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
  }
  if (config.cluster > 1) {
    cudaLaunchAttribute& cluster = attributes[launch.numAttrs++];
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {static_cast<unsigned>(config.cluster), 1, 1};
  }
  check(cudaLaunchKernelExC(&launch, kernel, arguments), config.name);
}

namespace {

using CapturedGraph = std::unique_ptr<CUgraph_st, decltype(&cudaGraphDestroy)>;

CapturedGraph capture(CudaStream stream, const std::function<void()>& enqueue) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  cudaGraph_t graph = nullptr;
  try {
    enqueue();
  } catch (...) {
    // Ends the recording, so that the stream can be used on.
    cudaStreamEndCapture(stream, &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  return {graph, cudaGraphDestroy};
}

}  // namespace

Graph::Graph(const Stream& stream, const std::function<void()>& enqueue) {
  use_device(stream.device());
  const CapturedGraph graph = capture(stream.handle(), enqueue);
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, graph.get(), 0), "cudaGraphInstantiate");
  executable_ = executable;
}

Graph::~Graph() { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable_)); }

void Graph::launch(CudaStream stream) const {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable_), stream), "cudaGraphLaunch");
}

Timer::Timer(Device device) : device_(device) {
  use_device(device);
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  begin_ = event;
  check(cudaEventCreate(&event), "cudaEventCreate");
  end_ = event;
}

Timer::~Timer() {
  cudaEventDestroy(static_cast<cudaEvent_t>(begin_));
  cudaEventDestroy(static_cast<cudaEvent_t>(end_));
}

void Timer::start(CudaStream stream) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(begin_), stream), "cudaEventRecord");
}

void Timer::stop(CudaStream stream) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(end_), stream), "cudaEventRecord");
}

double Timer::milliseconds() const {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(end_)), "cudaEventSynchronize");
  float elapsed = 0.0f;
  check(cudaEventElapsedTime(&elapsed, static_cast<cudaEvent_t>(begin_),
                             static_cast<cudaEvent_t>(end_)),
        "cudaEventElapsedTime");
  return elapsed;
}

}  // namespace engine::cuda
