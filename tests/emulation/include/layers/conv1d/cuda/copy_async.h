// layers/conv1d/cuda/copy_async.h for the emulator. Copies take effect when they are waited for.
#pragma once

#include <vector>

#include "tests/emulation/emulator.h"

namespace engine::cuda {

struct PendingCopy {
  void* target;
  const void* source;  // null for zeros
  int bytes;
  int group;  // how many groups the thread had made before
};
struct PendingCopies {
  std::vector<PendingCopy> copies;
  int groups = 0;

  void start(void* shared, const void* global, int bytes, bool exists) {
    if (reinterpret_cast<uintptr_t>(shared) % bytes != 0 ||
        (exists && reinterpret_cast<uintptr_t>(global) % bytes != 0)) {
      test::emulator::fail("an asynchronous copy is not aligned");
    }
    copies.push_back({shared, exists ? global : nullptr, bytes, groups});
  }
  // Does those of the groups before `group`.
  void finish(int group) {
    std::erase_if(copies, [&](const PendingCopy& copy) {
      if (copy.group >= group) return false;
      if (copy.source == nullptr) {
        std::memset(copy.target, 0, copy.bytes);
      } else {
        std::memcpy(copy.target, copy.source, copy.bytes);
      }
      return true;
    });
  }
};
inline PendingCopies pending_copies[1024];  // of each thread

inline void copy_async_16(void* shared, const void* global) {
  pending_copies[threadIdx.x].start(shared, global, 16, true);
}
inline void copy_async_4_or_zero(void* shared, const void* global, bool exists) {
  pending_copies[threadIdx.x].start(shared, global, 4, exists);
}

inline void commit_copies() { ++pending_copies[threadIdx.x].groups; }
template <int kPending>
void wait_for_copy_groups() {
  PendingCopies& copies = pending_copies[threadIdx.x];
  copies.finish(copies.groups - kPending);
}
inline void wait_for_copies() {
  PendingCopies& copies = pending_copies[threadIdx.x];
  copies.finish(copies.groups + 1);
}

}  // namespace engine::cuda
