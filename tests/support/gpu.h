// Which devices the tests of this run cover.
//
// ENGINE_TEST_DEVICE=cpu|gpu restricts a run to one; without it both are covered, the GPU where
// there is one. ENGINE_REQUIRE_GPU=1 makes a missing GPU a failure of the whole run.
#pragma once

namespace engine::test {

/// True where this run covers the CPU.
bool uses_cpu();

/// True where this run covers the GPU and there is one.
bool has_gpu();

}  // namespace engine::test
