#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "layers/conv1d/cpu/dense_panel.h"

namespace engine::test {
namespace {

TEST_CASE("vector code runs in the set of instructions that the tests are asked to run in") {
  const char* wanted = std::getenv("ENGINE_TEST_VECTORS");
  if (wanted == nullptr) return;
  const std::map<std::string, int64_t> lanes{
      {"SCALAR", 1}, {"SSE4", 4}, {"NEON", 4}, {"AVX2", 8}, {"AVX3", 16}};
  CHECK(cpu::dense_loop().lanes == lanes.at(wanted));
}

}  // namespace
}  // namespace engine::test
