#include "tests/support/guarded_buffer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "engine/cuda/runtime.h"

namespace engine::test {
namespace {

constexpr int kPattern = 0xFF;
constexpr size_t kAlignment = 256;

std::shared_ptr<void> allocate(Device device, int64_t bytes) {
  if (device.is_cuda()) return cuda::allocate(device, bytes);
  void* memory = nullptr;  // not std::aligned_alloc, which wants a multiple of the alignment
  if (posix_memalign(&memory, kAlignment, static_cast<size_t>(bytes)) != 0) throw std::bad_alloc();
  return {memory, std::free};
}

void fill(void* target, int64_t bytes, Device device) {
  if (device.is_cuda()) {
    cuda::fill_async(target, kPattern, bytes, device, nullptr);
  } else {
    std::memset(target, kPattern, static_cast<size_t>(bytes));
  }
}

}  // namespace

GuardedBuffer::GuardedBuffer(Device device, int64_t bytes, int64_t band)
    : device_(device), bytes_(bytes), band_(band), memory_(allocate(device, bytes + 2 * band)) {
  fill(memory_.get(), bytes + 2 * band, device);
}

void GuardedBuffer::write(const void* source) {
  if (device_.is_cuda()) {
    cuda::copy_async(data(), source, bytes_, device_, nullptr);
    cuda::synchronize_default(device_);
  } else {
    std::memcpy(data(), source, static_cast<size_t>(bytes_));
  }
}

std::vector<std::byte> GuardedBuffer::copy_to_host(int64_t begin, int64_t bytes) const {
  std::vector<std::byte> copy(static_cast<size_t>(bytes));
  const std::byte* source = static_cast<const std::byte*>(memory_.get()) + begin;
  if (device_.is_cuda()) {
    cuda::copy_async(copy.data(), source, bytes, device_, nullptr);
    cuda::synchronize_default(device_);
  } else {
    std::memcpy(copy.data(), source, copy.size());
  }
  return copy;
}

std::vector<std::byte> GuardedBuffer::read() const { return copy_to_host(band_, bytes_); }

bool GuardedBuffer::bands_intact() const {
  std::vector<std::byte> bands = copy_to_host(0, band_);
  const std::vector<std::byte> after = copy_to_host(band_ + bytes_, band_);
  bands.insert(bands.end(), after.begin(), after.end());
  return std::all_of(bands.begin(), bands.end(),
                     [](std::byte byte) { return byte == std::byte{kPattern}; });
}

}  // namespace engine::test
