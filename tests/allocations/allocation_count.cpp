#include "tests/allocations/allocation_count.h"

#include <atomic>
#include <cerrno>
#include <cstddef>

// The GNU C library's own functions, under the names that remain when a program replaces the usual
// ones.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t items, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
}

namespace {

std::atomic<int64_t> count{0};
std::atomic<int64_t> total_bytes{0};

void add_allocation(size_t bytes) {
  ++count;
  total_bytes += static_cast<int64_t>(bytes);
}

}  // namespace

namespace engine::test {

int64_t allocation_count() { return count; }
int64_t allocated_bytes() { return total_bytes; }

}  // namespace engine::test

// Everything that allocates comes through these, operator new and Eigen included.
extern "C" {

void* malloc(size_t bytes) {
  add_allocation(bytes);
  return __libc_malloc(bytes);
}

void* calloc(size_t items, size_t bytes) {
  add_allocation(items * bytes);
  return __libc_calloc(items, bytes);
}

void* realloc(void* memory, size_t bytes) {
  add_allocation(bytes);
  return __libc_realloc(memory, bytes);
}

void* memalign(size_t alignment, size_t bytes) {
  add_allocation(bytes);
  return __libc_memalign(alignment, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  *memory = memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}

}  // extern "C"
