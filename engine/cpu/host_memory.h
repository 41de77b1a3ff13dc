// Memory of the host for tensors and intermediate values.
#pragma once

#include <cstdint>
#include <memory>

namespace engine {

/// `bytes` bytes at a multiple of 256, freed with the last owner; null where there is no memory.
/// From two megabytes on the system is asked for huge pages: long rows of many channels lie in more
/// small ones than a CPU keeps translations for. Thread-safe.
std::shared_ptr<void> allocate_host(int64_t bytes);

}  // namespace engine
