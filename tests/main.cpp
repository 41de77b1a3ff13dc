// Runs the tests: says which GPU they cover, or why none.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "engine/cuda/runtime.h"
#include "tests/support/gpu.h"

namespace {

constexpr int kSkipped = 77;  // what CTest's SKIP_RETURN_CODE is set to

bool gpu_required() {
  const char* value = std::getenv("ENGINE_REQUIRE_GPU");
  return value && std::string(value) == "1";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace engine;
  const std::string missing = cuda::why_no_device();
  if (test::has_gpu()) {
    fmt::print("GPU tests run on {}\n", cuda::device_info(0).name);
  } else if (!missing.empty() && gpu_required()) {
    fmt::print("ENGINE_REQUIRE_GPU=1, but {}\n", missing);
    return 1;
  } else if (!missing.empty()) {
    fmt::print("GPU tests SKIPPED: {}\n", missing);
    if (!test::uses_cpu()) return kSkipped;
  }
  std::fflush(stdout);
  return doctest::Context(argc, argv).run();
}
