#include "engine/device.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <thread>

#include "engine/cuda/runtime.h"
#include "engine/error.h"

namespace engine {
namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU";
}

DeviceInfo cpu_info() {
  const int64_t memory = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  const int64_t cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return {Device::cpu(),
          cpu_name(),
          memory,
          static_cast<int>(std::thread::hardware_concurrency()),
          0,
          std::max<int64_t>(cache, 0)};
}

}  // namespace

Device Device::automatic() {
  for (int i = 0; i < cuda::device_count(); ++i) {
    if (cuda::has_kernels_for(i)) return cuda(i);
  }
  return cpu();
}

Device Device::parse(const std::string& text) {
  if (text == "auto") return automatic();
  if (text == "cpu") return cpu();
  int index = 0;
  if (text.starts_with("cuda:")) {
    const char* end = text.data() + text.size();
    const auto [stop, status] = std::from_chars(text.data() + 5, end, index);
    if (status != std::errc() || stop != end || index < 0) index = -1;
  } else if (text != "cuda") {
    index = -1;
  }
  if (index < 0) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("unknown device '{}'; expected auto, cpu or cuda:0", text));
  }
  const int count = cuda::device_count();
  if (count == 0) throw Error(ErrorKind::kUnsupported, cuda::why_no_device());
  if (index >= count) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("device '{}' is not there: this machine has {} GPU{}, numbered from 0",
                            text, count, count == 1 ? "" : "s"));
  }
  return cuda(index);
}

std::string to_string(Device device) {
  return device.is_cuda() ? fmt::format("cuda:{}", device.index) : "cpu";
}

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices{cpu_info()};
  for (int i = 0; i < cuda::device_count(); ++i) devices.push_back(cuda::device_info(i));
  return devices;
}

}  // namespace engine
