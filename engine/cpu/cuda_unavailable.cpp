// engine/cuda/runtime.h for a build without CUDA.
#include "engine/cuda/runtime.h"
#include "engine/error.h"

namespace engine::cuda {
namespace {

[[noreturn]] void unavailable() { throw Error(ErrorKind::kUnsupported, why_no_device()); }

}  // namespace

int device_count() { return 0; }

std::string why_no_device() {
  return "this build has no CUDA; configure with -DENGINE_CUDA=ON where the CUDA toolkit is "
         "installed";
}

DeviceInfo device_info(int) { unavailable(); }
bool has_kernels_for(int) { return false; }
Stream::Stream(Device) { unavailable(); }
Stream::~Stream() = default;
void Stream::synchronize() const { unavailable(); }
std::shared_ptr<void> allocate(Device, int64_t, std::shared_ptr<Stream>) { unavailable(); }
std::shared_ptr<void> allocate_pinned(int64_t) { unavailable(); }
void copy_async(void*, const void*, int64_t, Device, CudaStream) { unavailable(); }
void fill_async(void*, int, int64_t, Device, CudaStream) { unavailable(); }
void synchronize_default(Device) { unavailable(); }
void use_device(Device) { unavailable(); }
void convert(const void*, DType, void*, DType, int64_t, CudaStream) { unavailable(); }
Graph::Graph(const Stream&, const std::function<void()>&) { unavailable(); }
Graph::~Graph() = default;
void Graph::launch(CudaStream) const { unavailable(); }
Timer::Timer(Device) { unavailable(); }
Timer::~Timer() = default;
void Timer::start(CudaStream) { unavailable(); }
void Timer::stop(CudaStream) { unavailable(); }
double Timer::milliseconds() const { unavailable(); }

}  // namespace engine::cuda
