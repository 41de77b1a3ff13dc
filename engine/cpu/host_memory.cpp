#include "engine/cpu/host_memory.h"

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>

#include "engine/round_up.h"

namespace engine {

std::shared_ptr<void> allocate_host(int64_t bytes) {
  constexpr int64_t kAlignment = 256;
  constexpr int64_t kHugePage = int64_t{2} << 20;
  const int64_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  // Even no bytes have an address of their own.
  const auto rounded = static_cast<size_t>(round_up(bytes + 1, kAlignment));
  void* memory = nullptr;
  if (posix_memalign(&memory, static_cast<size_t>(alignment), rounded) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
  // Where the system refuses, small pages do.
  if (bytes >= kHugePage) madvise(memory, rounded, MADV_HUGEPAGE);
#endif
  return {memory, std::free};
}

}  // namespace engine
