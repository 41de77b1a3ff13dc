// Runs the tests: says which GPU they cover, or why none. ENGINE_TEST_VECTORS=SSE4|AVX2|... has the
// library's vector code run in that set of instructions in place of the machine's best one.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "engine/cuda/runtime.h"
#include "tests/support/gpu.h"
#include "tests/support/vector_target.h"

namespace {

constexpr int kSkipped = 77;  // what CTest's SKIP_RETURN_CODE is set to

bool gpu_required() {
  const char* value = std::getenv("ENGINE_REQUIRE_GPU");
  return value && std::string(value) == "1";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace engine;
  if (const char* target = std::getenv("ENGINE_TEST_VECTORS")) {
    if (const std::string why = test::use_vector_target(target); !why.empty()) {
      fmt::print("SKIPPED: {}\n", why);
      return kSkipped;
    }
  }
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
