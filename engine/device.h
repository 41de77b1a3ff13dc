// Where tensors live and layers run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace engine {

/// The CPU, or one CUDA GPU by index.
struct Device {
  enum class Type { kCpu, kCuda };
  Type type = Type::kCpu;
  int index = 0;

  static Device cpu() { return {}; }
  static Device cuda(int index = 0) { return {Type::kCuda, index}; }
  /// The first GPU where there is one that can be used, else the CPU.
  static Device automatic();
  /// "cpu", "cuda", "cuda:1" or "auto". Throws Error(kInvalidArgument) on anything else, and
  /// Error(kUnsupported) for a GPU that is not there.
  static Device parse(const std::string& text);

  bool is_cuda() const { return type == Type::kCuda; }
  bool operator==(const Device&) const = default;
};

/// "cpu" or "cuda:0".
std::string to_string(Device device);

/// What is known about one usable device.
struct DeviceInfo {
  Device device;
  std::string name;            ///< as the vendor calls it
  int64_t memory_bytes = 0;    ///< total memory
  int multiprocessors = 0;     ///< SMs of a GPU, hardware threads of a CPU
  int compute_capability = 0;  ///< 90 for sm_90; 0 for a CPU
  int64_t cache_bytes = 0;     ///< the cache that all of it shares (L2 of a GPU); 0 if not known
};

/// The CPU first, then every CUDA GPU. Never throws for want of a GPU.
std::vector<DeviceInfo> list_devices();

}  // namespace engine
