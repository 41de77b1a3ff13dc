// Memory that shows what a kernel read or wrote beyond it, or left unwritten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/device.h"

namespace engine::test {

/// `bytes` of memory between two guard bands. Bands and fresh contents are 0xFF bytes: NaN in every
/// floating-point type and -1 as an integer, so that a stray read shows in the result too.
class GuardedBuffer {
 public:
  static constexpr int64_t kBand = 1024;  ///< bytes on each side

  /// `band` is a multiple of 256. Without bands the memory is as large as its contents, which is
  /// what address sanitizers need to notice a stray read that changes nothing.
  GuardedBuffer(Device device, int64_t bytes, int64_t band = kBand);

  /// 256-byte aligned, in the address space of the device.
  void* data() const { return static_cast<std::byte*>(memory_.get()) + band_; }
  /// Overwrites the contents with `bytes` bytes of host memory.
  void write(const void* source);
  /// The contents, copied to the host.
  std::vector<std::byte> read() const;
  /// True where every byte of both bands is as it was.
  bool bands_intact() const;

 private:
  std::vector<std::byte> copy_to_host(int64_t begin, int64_t bytes) const;

  Device device_;
  int64_t bytes_;
  int64_t band_;
  std::shared_ptr<void> memory_;
};

}  // namespace engine::test
