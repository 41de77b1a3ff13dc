#include "engine/tensor.h"

#include <fmt/format.h>

#include <cstring>

#include "engine/cpu/convert.h"
#include "engine/cpu/host_memory.h"
#include "engine/cuda/runtime.h"
#include "engine/error.h"

namespace engine {
namespace {

std::shared_ptr<void> allocate(int64_t bytes, Device device) {
  if (device.is_cuda()) return cuda::allocate(device, bytes);
  std::shared_ptr<void> memory = allocate_host(bytes);
  if (!memory) {
    throw Error(ErrorKind::kOutOfMemory,
                fmt::format("out of memory: {:.1f} MB wanted", static_cast<double>(bytes) / 1e6));
  }
  return memory;
}

void copy_bytes(void* target, Device target_device, const void* source, Device source_device,
                int64_t bytes) {
  if (!target_device.is_cuda() && !source_device.is_cuda()) {
    std::memcpy(target, source, static_cast<size_t>(bytes));
    return;
  }
  const Device gpu = target_device.is_cuda() ? target_device : source_device;
  cuda::copy_async(target, source, bytes, gpu, nullptr);
  cuda::synchronize_default(gpu);
}

}  // namespace

std::string to_string(const TensorSpec& spec) {
  return fmt::format("{} {}", to_string(spec.dtype), to_string(spec.shape));
}

Tensor Tensor::empty(Shape shape, DType dtype, Device device) {
  const TensorSpec spec{std::move(shape), dtype};
  auto owner = allocate(spec.bytes(), device);
  void* data = owner.get();
  return share(std::move(owner), data, spec.shape, dtype, device);
}

Tensor Tensor::zeros(Shape shape, DType dtype, Device device) {
  Tensor tensor = empty(std::move(shape), dtype, device);
  if (device.is_cuda()) {
    cuda::fill_async(tensor.raw(), 0, tensor.bytes(), device, nullptr);
  } else {
    std::memset(tensor.raw(), 0, static_cast<size_t>(tensor.bytes()));
  }
  return tensor;
}

Tensor Tensor::pinned(Shape shape, DType dtype) {
  const TensorSpec spec{std::move(shape), dtype};
  if (cuda::device_count() == 0) return empty(spec.shape, dtype);
  auto owner = cuda::allocate_pinned(spec.bytes());
  void* data = owner.get();
  return share(std::move(owner), data, spec.shape, dtype);
}

Tensor Tensor::wrap(void* data, Shape shape, DType dtype, Device device) {
  return share(nullptr, data, std::move(shape), dtype, device);
}

Tensor Tensor::share(std::shared_ptr<void> owner, void* data, Shape shape, DType dtype,
                     Device device) {
  Tensor tensor;
  tensor.spec_ = {std::move(shape), dtype};
  if (tensor.spec_.elements() > 0 && !data) {
    throw Error(
        ErrorKind::kInvalidArgument,
        fmt::format("a tensor {} needs memory, found a null pointer", to_string(tensor.spec_)));
  }
  tensor.device_ = device;
  tensor.owner_ = std::move(owner);
  tensor.data_ = data;
  return tensor;
}

int64_t Tensor::size(int dim) const {
  const int index = dim < 0 ? dim + rank() : dim;
  if (index < 0 || index >= rank()) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("dimension {} of a tensor {}", dim, to_string(spec_)));
  }
  return spec_.shape[static_cast<size_t>(index)];
}

void Tensor::check_access(DType wanted) const {
  if (wanted != spec_.dtype) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("data() as {} of a tensor {}; convert it with to(DType)",
                            to_string(wanted), to_string(spec_)));
  }
  if (device_.is_cuda()) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("data() of a tensor on {}; copy it with to(Device::cpu())",
                            to_string(device_)));
  }
}

Tensor Tensor::to(Device device) const {
  if (device == device_) return *this;
  Tensor copy = empty(spec_.shape, spec_.dtype, device);
  copy_bytes(copy.data_, device, data_, device_, bytes());
  return copy;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == spec_.dtype) return *this;
  if (is_floating(dtype) != is_floating(spec_.dtype)) {
    throw Error(ErrorKind::kUnsupported, fmt::format("a tensor {} does not convert to {}",
                                                     to_string(spec_), to_string(dtype)));
  }
  if (device_.is_cuda()) return to(Device::cpu()).to(dtype).to(device_);
  Tensor converted = empty(spec_.shape, dtype);
  convert_elements(data_, spec_.dtype, converted.data_, dtype, elements());
  return converted;
}

Tensor Tensor::clone() const {
  Tensor copy = empty(spec_.shape, spec_.dtype, device_);
  copy_bytes(copy.data_, device_, data_, device_, bytes());
  return copy;
}

Tensor Tensor::reshape(Shape shape) const {
  if (element_count(shape) != elements()) {
    throw Error(ErrorKind::kInvalidArgument, fmt::format("a tensor {} does not reshape to {}",
                                                         to_string(spec_), to_string(shape)));
  }
  Tensor view = *this;
  view.spec_.shape = std::move(shape);
  return view;
}

}  // namespace engine
