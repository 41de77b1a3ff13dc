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

/// The place of the running thread.
extern dim3 thread_index, block_index, grid_size;

/// The running block's shared memory.
char* shared_memory();

/// Runs the blocks of a grid one after the other; each of `threads` threads calls `kernel`. Throws
/// std::runtime_error where threads wait for each other in vain, or one of them throws.
void run(int64_t blocks, int threads, const std::function<void()>& kernel);

/// Lets the other threads run.
void yield();

/// Says that something happened that may end another thread's wait.
void made_progress();

/// Fails the emulation.
[[noreturn]] void fail(const char* what);

void block_barrier();
void warp_barrier();
/// Gives `value` to the warp; returns what lane `lane` gave.
uint64_t warp_exchange(uint64_t value, int lane);

}  // namespace engine::test::emulator

#define threadIdx engine::test::emulator::thread_index
#define blockIdx engine::test::emulator::block_index
#define gridDim engine::test::emulator::grid_size
#undef __launch_bounds__
#undef __grid_constant__
#define __launch_bounds__(...)
#define __grid_constant__

using std::isnan;
using std::max;
using std::min;

inline void __syncthreads() { engine::test::emulator::block_barrier(); }
inline void __syncwarp() { engine::test::emulator::warp_barrier(); }

template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = engine::test::emulator::warp_exchange(bits, lane);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline bool __all_sync(unsigned mask, bool condition) {
  bool all = true;
  for (int lane = 0; lane < 32; ++lane) all = __shfl_sync(mask, condition, lane) && all;
  return all;
}

template <typename T>
T __ldg(const T* pointer) {
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
