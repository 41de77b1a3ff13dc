// Tensor: a dense, contiguous, row-major array on the CPU or a GPU.
//
// A Tensor is a handle: copies share one storage. Thread-safety: handles may be copied and read
// from many threads; writing through one while another thread reads is the caller's to prevent.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/device.h"
#include "engine/dtype.h"
#include "engine/shape.h"

namespace engine {

/// A shape and an element type: all that is known of a value before it is computed.
struct TensorSpec {
  Shape shape;
  DType dtype = DType::kF32;

  int64_t elements() const { return element_count(shape); }
  int64_t bytes() const { return elements() * static_cast<int64_t>(size_of(dtype)); }
  bool operator==(const TensorSpec&) const = default;
};

/// "f32 [1, 64, 16000]".
std::string to_string(const TensorSpec& spec);

class Tensor {
 public:
  /// An empty handle: no storage, shape {0}.
  Tensor() = default;

  /// New storage, contents undefined. Throws Error(kOutOfMemory), and Error(kInvalidArgument) for
  /// a negative size or one that overflows.
  static Tensor empty(Shape shape, DType dtype = DType::kF32, Device device = {});
  /// New storage, all elements zero.
  static Tensor zeros(Shape shape, DType dtype = DType::kF32, Device device = {});
  /// New page-locked host storage, which the GPU copies from and to at full speed and
  /// asynchronously. Plain host storage in a build without CUDA.
  static Tensor pinned(Shape shape, DType dtype = DType::kF32);
  /// Borrows the caller's memory, which must outlive every handle to it; nothing is copied.
  static Tensor wrap(void* data, Shape shape, DType dtype = DType::kF32, Device device = {});
  template <typename T>
  static Tensor wrap(T* data, Shape shape) {
    return wrap(static_cast<void*>(data), std::move(shape), DTypeOf<T>::value);
  }
  /// Shares memory that `owner` keeps alive (a mapped file, a foreign array).
  static Tensor share(std::shared_ptr<void> owner, void* data, Shape shape, DType dtype,
                      Device device = {});

  const Shape& shape() const { return spec_.shape; }
  /// Size of one dimension; a negative index counts from the end. Throws Error(kInvalidArgument).
  int64_t size(int dim) const;
  int rank() const { return static_cast<int>(spec_.shape.size()); }
  int64_t elements() const { return spec_.elements(); }
  int64_t bytes() const { return spec_.bytes(); }
  DType dtype() const { return spec_.dtype; }
  const TensorSpec& spec() const { return spec_; }
  Device device() const { return device_; }
  bool defined() const { return data_ != nullptr; }

  /// Pointer to the elements. Throws Error(kInvalidArgument) where T is not the dtype, or the
  /// tensor is not on the CPU.
  template <typename T>
  T* data() {
    check_access(DTypeOf<T>::value);
    return static_cast<T*>(data_);
  }
  template <typename T>
  const T* data() const {
    check_access(DTypeOf<T>::value);
    return static_cast<const T*>(data_);
  }
  /// Unchecked pointer, in the address space of device().
  void* raw() { return data_; }
  const void* raw() const { return data_; }

  /// A copy on `device` (this handle itself where it is there already); returns when it is done.
  Tensor to(Device device) const;
  /// A copy converted to `dtype` (this handle itself where it has it already). Floats round to
  /// nearest even. Throws Error(kUnsupported) between integers and floats.
  Tensor to(DType dtype) const;
  /// A copy with its own storage on the same device.
  Tensor clone() const;
  /// The same storage under another shape with as many elements. Throws Error(kInvalidArgument).
  Tensor reshape(Shape shape) const;

 private:
  void check_access(DType wanted) const;

  TensorSpec spec_{{0}, DType::kF32};
  Device device_;
  std::shared_ptr<void> owner_;
  void* data_ = nullptr;
};

}  // namespace engine
