#include "tests/support/gpu.h"

#include <cstdlib>
#include <string>

#include "engine/cuda/runtime.h"

namespace engine::test {
namespace {

bool restricted_to(const std::string& device) {
  const char* wanted = std::getenv("ENGINE_TEST_DEVICE");
  return wanted && wanted == device;
}

}  // namespace

bool uses_cpu() { return !restricted_to("gpu"); }

bool has_gpu() { return !restricted_to("cpu") && cuda::device_count() > 0; }

}  // namespace engine::test
