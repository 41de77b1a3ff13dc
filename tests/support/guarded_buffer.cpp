#include "tests/support/guarded_buffer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "engine/cuda/runtime.h"

namespace engine::test {
namespace {

constexpr int kPattern = 0xFF;
constexpr int64_t kAlignment = 256;

std::shared_ptr<void> allocate(Device device, int64_t bytes) {
  if (device.is_cuda()) return cuda::allocate(device, bytes);
  const int64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return {std::aligned_alloc(kAlignment, static_cast<size_t>(rounded)), std::free};
}

void fill(void* target, int64_t bytes, Device device) {
  if (device.is_cuda()) {
    cuda::fill_async(target, kPattern, bytes, device, nullptr);
  } else {
    std::memset(target, kPattern, static_cast<size_t>(bytes));
  }
}

}  // namespace

GuardedBuffer::GuardedBuffer(Device device, int64_t bytes)
    : device_(device), bytes_(bytes), memory_(allocate(device, bytes + 2 * kBand)) {
  fill(memory_.get(), bytes + 2 * kBand, device);
}

void GuardedBuffer::poison() { fill(data(), bytes_, device_); }

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

std::vector<std::byte> GuardedBuffer::read() const { return copy_to_host(kBand, bytes_); }

bool GuardedBuffer::bands_intact() const {
  std::vector<std::byte> bands = copy_to_host(0, kBand);
  const std::vector<std::byte> after = copy_to_host(kBand + bytes_, kBand);
  bands.insert(bands.end(), after.begin(), after.end());
  return std::all_of(bands.begin(), bands.end(),
                     [](std::byte byte) { return byte == std::byte{kPattern}; });
}

}  // namespace engine::test
