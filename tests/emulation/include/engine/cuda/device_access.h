// engine/cuda/device_access.h for the emulator: the same functions, which also check alignment.
#pragma once

#include "tests/emulation/emulator.h"

namespace engine::cuda {

namespace emulator = test::emulator;

inline char* dynamic_shared() { return emulator::shared_memory(); }

template <typename T>
T load_or_zero(const T* source, bool exists) {
  return exists ? *source : T{};
}

template <typename T>
uint32_t load_bits_or_zero(const T* source, bool exists) {
  if (!exists) return 0;
  if (reinterpret_cast<uintptr_t>(source) % sizeof(T) != 0) emulator::fail("a load is not aligned");
  return *source;
}

inline float2 load_pair_or_zero(const float* source, bool exists) {
  if (!exists) return {0.0f, 0.0f};
  if (reinterpret_cast<uintptr_t>(source) % 8 != 0) emulator::fail("a pair is not aligned");
  return {source[0], source[1]};
}
inline ushort2 load_pair_or_zero(const uint16_t* source, bool exists) {
  if (!exists) return {0, 0};
  if (reinterpret_cast<uintptr_t>(source) % 4 != 0) emulator::fail("a pair is not aligned");
  return {source[0], source[1]};
}

inline void store_16(void* target, uint4 bits) {
  if (reinterpret_cast<uintptr_t>(target) % 16 != 0) emulator::fail("a store is not aligned");
  std::memcpy(target, &bits, sizeof bits);
}

inline void store_shared_16_if(void* target, uint4 bits, bool exists) {
  if (exists) store_16(target, bits);
}

// Blocks run one after the other, so whatever is waited for is there.
inline void publish_stores() {}
inline void count_arrival(uint32_t* arrivals) { ++*arrivals; }
inline void await_arrivals(const uint32_t* arrivals, uint32_t count) {
  if (*arrivals != count) emulator::fail("a block waits for one that comes later");
}
inline float load_published(const float* source) { return *source; }

inline float max_or_nan(float a, float b) { return isnan(a) || a > b ? a : b; }

}  // namespace engine::cuda
