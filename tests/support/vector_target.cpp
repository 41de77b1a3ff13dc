#include "tests/support/vector_target.h"

// clang-format off: before Highway
#include "engine/cpu/highway_targets.h"
// clang-format on

#include <fmt/format.h>
#include <hwy/targets.h>

namespace engine::test {

std::string use_vector_target(const std::string& name) {
  std::string names;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (name == hwy::TargetName(target)) {
      hwy::SetSupportedTargetsForTest(target);
      return {};
    }
    names += fmt::format(" {}", hwy::TargetName(target));
  }
  return fmt::format("vector code for {} cannot run here; there is{}", name, names);
}

}  // namespace engine::test
