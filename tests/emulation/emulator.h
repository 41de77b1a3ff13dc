// Runs a CUDA kernel's block on the CPU, one fiber for each thread, so that device code can be
// checked where there is no GPU. Threads run in turn and change over where they wait, so what this
// finds are wrong indices, values and deadlocks, not races.
//
// Device code is compiled by the host's compiler with this file included first and
// tests/emulation/include in front of the include path, whose headers stand in for those with
// inline assembly.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

namespace engine::test::emulator {

inline constexpr int64_t kSharedBytes = 227 * 1024;
inline constexpr int kMostClusterBlocks = 8;

/// The place of the running thread.
extern dim3 thread_index, block_index, grid_size;

/// The running block's shared memory, and that of a block of its cluster.
char* shared_memory();
char* shared_memory_of(int rank);

/// The running block's place in its cluster.
int cluster_rank();

/// Runs the clusters of a grid one after the other, of `cluster_blocks` blocks each; each of
/// `threads` threads of a block calls `kernel`. Throws std::runtime_error where threads wait for
/// each other in vain, or one of them throws.
void run(int64_t blocks, int cluster_blocks, int threads, const std::function<void()>& kernel);

/// Lets the other threads run.
void yield();

/// Says that something happened that may end another thread's wait.
void made_progress();

/// Fails the emulation.
[[noreturn]] void fail(const char* what);

void block_barrier();
void cluster_barrier();
void named_barrier(int id, int threads);
void warp_barrier();
/// Gives the 32-byte `value` to the warp; returns what all lanes gave, until the thread's next
/// call.
struct WarpValue {
  uint64_t words[4];
};
const WarpValue* warp_exchange(const WarpValue& value);

}  // namespace engine::test::emulator

#define ENGINE_EMULATED
#define threadIdx engine::test::emulator::thread_index
#define blockIdx engine::test::emulator::block_index
#define gridDim engine::test::emulator::grid_size
#undef __launch_bounds__
#undef __grid_constant__
#define __launch_bounds__(...)
#define __grid_constant__
#define __noinline__

using std::isinf;
using std::isnan;
using std::max;
using std::min;

inline void __syncthreads() { engine::test::emulator::block_barrier(); }
inline void __syncwarp() { engine::test::emulator::warp_barrier(); }

template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  engine::test::emulator::WarpValue given{};
  std::memcpy(given.words, &value, sizeof value);
  std::memcpy(&value, engine::test::emulator::warp_exchange(given)[lane & 31].words, sizeof value);
  return value;
}

inline bool __all_sync(unsigned, bool condition) {
  const auto* given = engine::test::emulator::warp_exchange({{condition}});
  return std::all_of(given, given + 32, [](const auto& value) { return value.words[0] != 0; });
}

inline unsigned __reduce_add_sync(unsigned, unsigned value) {
  const auto* given = engine::test::emulator::warp_exchange({{value}});
  unsigned sum = 0;
  for (int lane = 0; lane < 32; ++lane) sum += given[lane].words[0];
  return sum;
}

inline unsigned __reduce_max_sync(unsigned, unsigned value) {
  const auto* given = engine::test::emulator::warp_exchange({{value}});
  for (int lane = 0; lane < 32; ++lane) {
    value = max(value, static_cast<unsigned>(given[lane].words[0]));
  }
  return value;
}

// Threads run in turn.
inline unsigned atomicMax(unsigned* target, unsigned value) {
  const unsigned before = *target;
  *target = max(before, value);
  return before;
}

template <typename T>
T __ldg(const T* pointer) {
  return *pointer;
}
template <typename T>
T __ldcg(const T* pointer) {
  return *pointer;
}

inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float x, float y) { return x / y; }

// The low word of two, shifted right together.
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned bits) {
  return static_cast<unsigned>((static_cast<uint64_t>(high) << 32 | low) >> (bits & 31));
}

// Four bytes of two words, by the selector's digits.
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
  const uint64_t both = static_cast<uint64_t>(high) << 32 | low;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned byte = selector >> 4 * i & 7;
    result |= static_cast<unsigned>(both >> 8 * byte & 0xff) << 8 * i;
  }
  return result;
}
