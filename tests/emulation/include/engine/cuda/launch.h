// engine/cuda/launch.h for the emulator: a launch runs the kernel at once.
#pragma once

#include "tests/emulation/emulator.h"

namespace engine::cuda {

struct LaunchConfig {
  const char* name;
  int64_t grid_x = 1;
  int block = 256;
  int64_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
  bool begins_early = false;
  int cluster = 1;
};

inline void let_next_kernel_begin() {}
inline void await_previous_kernel() {}

template <typename Kernel, typename... Arguments>
void launch(Kernel kernel, const LaunchConfig& config, const Arguments&... arguments) {
  if (config.shared_bytes > test::emulator::kSharedBytes) {
    test::emulator::fail("too much shared memory");
  }
  test::emulator::run(config.grid_x, config.cluster, config.block, [&] { kernel(arguments...); });
}

}  // namespace engine::cuda
