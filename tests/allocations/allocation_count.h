// Counts allocations of the whole program, by any thread and any library.
#pragma once

#include <cstdint>

namespace engine::test {

/// How often memory was allocated since the program began.
int64_t allocation_count();
/// How much in all, whether it was freed or not.
int64_t allocated_bytes();

}  // namespace engine::test
