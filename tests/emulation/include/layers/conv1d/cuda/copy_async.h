// layers/conv1d/cuda/copy_async.h for the emulator. Copies take effect when they are waited for.
#pragma once

#include <vector>

#include "tests/emulation/emulator.h"

namespace engine::cuda {

struct PendingCopy {
  void* target;
  const void* source;
};
inline std::vector<PendingCopy> pending_copies[1024];  // of each thread

inline void copy_async_16(void* shared, const void* global) {
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0 ||
      reinterpret_cast<uintptr_t>(global) % 16 != 0) {
    test::emulator::fail("an asynchronous copy is not aligned");
  }
  pending_copies[threadIdx.x].push_back({shared, global});
}

inline void wait_for_copies() {
  for (const PendingCopy& copy : pending_copies[threadIdx.x]) {
    std::memcpy(copy.target, copy.source, 16);
  }
  pending_copies[threadIdx.x].clear();
}

}  // namespace engine::cuda
