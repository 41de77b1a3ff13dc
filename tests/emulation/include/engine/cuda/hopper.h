// engine/cuda/hopper.h for the emulator. Copies and products are done at once, so what must be
// waited for has to be there when they are started; whether results are waited for is not checked.
#pragma once

#include <type_traits>

#include "engine/cuda/shared_address.h"
#include "engine/cuda/tensor_map.h"

#define ENGINE_SM90A_CODE 1

namespace engine::cuda {

// As in shared memory: eight bytes.
struct Barrier {
  uint16_t arrivals;
  int16_t missing;
  int32_t bytes_and_phase;  // bytes that are still to come, times two, and the phase

  void init(int count) {
    arrivals = static_cast<uint16_t>(count);
    missing = static_cast<int16_t>(count);
    bytes_and_phase = 0;
  }
  void arrive() {
    --missing;
    end_phase();
  }
  void arrive_and_expect(uint32_t bytes) {
    bytes_and_phase += static_cast<int32_t>(2 * bytes);
    arrive();
  }
  void expect(uint32_t bytes) { bytes_and_phase += static_cast<int32_t>(2 * bytes); }
  void come(uint32_t bytes) {
    bytes_and_phase -= static_cast<int32_t>(2 * bytes);
    end_phase();
  }
  bool is_over(uint32_t parity) const {
    return static_cast<uint32_t>(bytes_and_phase & 1) != (parity & 1);
  }
  void wait(uint32_t parity) {
    while (!is_over(parity)) test::emulator::yield();
    test::emulator::made_progress();
  }

 private:
  void end_phase() {
    test::emulator::made_progress();
    if (missing < 0) test::emulator::fail("too many arrivals at a barrier");
    if (missing > 0 || bytes_and_phase / 2 != 0) return;
    missing = static_cast<int16_t>(arrivals);
    bytes_and_phase ^= 1;
  }
};
static_assert(sizeof(Barrier) == 8);

inline void named_barrier(int id, int threads) { test::emulator::named_barrier(id, threads); }

inline int cluster_rank() { return test::emulator::cluster_rank(); }
inline void cluster_barrier() { test::emulator::cluster_barrier(); }
inline void store_of_rank(int rank, uint32_t address, float4 four, Barrier& barrier) {
  if (address % 16 != 0 || int64_t{address} + 16 > test::emulator::kSharedBytes) {
    test::emulator::fail("a store leaves the shared memory of another block");
  }
  char* there = test::emulator::shared_memory_of(rank);
  std::memcpy(there + address, &four, sizeof four);
  reinterpret_cast<Barrier*>(there + shared_address(&barrier))->come(sizeof four);
}

inline void fence_barrier_init() {}
inline void fence_proxy_async() {}

inline void bulk_copy(uint32_t target, const void* source, uint32_t bytes, Barrier& barrier) {
  if (target % 16 != 0 || bytes % 16 != 0 || reinterpret_cast<uintptr_t>(source) % 16 != 0) {
    test::emulator::fail("a bulk copy is not aligned");
  }
  if (target + bytes > test::emulator::kSharedBytes) {
    test::emulator::fail("a bulk copy leaves shared memory");
  }
  std::memcpy(test::emulator::shared_memory() + target, source, bytes);
  barrier.come(bytes);
}

struct BulkCopy {
  uint32_t shared;
  uint32_t bytes;
  const char* global;
};

inline void bulk_copy_lanes(const BulkCopy& mine, int lanes, Barrier& barrier) {
  __syncwarp();
  if (static_cast<int>(threadIdx.x % 32) >= lanes || mine.bytes == 0) return;
  bulk_copy(mine.shared, mine.global, mine.bytes, barrier);
}

// What the emulator keeps in a TensorMap.
struct EmulatedTensorMap {
  const char* data;
  int64_t sizes[3];  // elements, rows, matrices
  TensorBoxes boxes;
  int32_t size;  // bytes of an element
};
static_assert(sizeof(EmulatedTensorMap) <= sizeof(TensorMap));

// In place of tensor_map(), which asks the driver.
inline TensorMap emulated_tensor_map(const TensorRows& tensor, const TensorBoxes& boxes) {
  if (reinterpret_cast<uintptr_t>(tensor.data) % 16 != 0 ||
      tensor.length * size_of(tensor.dtype) % 16 != 0) {
    test::emulator::fail("a tensor's rows are not aligned");
  }
  const EmulatedTensorMap described{static_cast<const char*>(tensor.data),
                                    {tensor.length, tensor.rows, tensor.matrices},
                                    boxes,
                                    static_cast<int32_t>(size_of(tensor.dtype))};
  TensorMap map{};
  std::memcpy(&map, &described, sizeof described);
  return map;
}

inline void tensor_copy(uint32_t target, const TensorMap& encoded, int x, int y, int z,
                        Barrier& barrier) {
  if (threadIdx.x % 32 != 0) return;
  EmulatedTensorMap map;
  std::memcpy(&map, &encoded, sizeof map);
  if (x * map.size % 16 != 0) test::emulator::fail("a box does not begin at 16 bytes");
  const TensorBoxes& boxes = map.boxes;
  if (target % (boxes.swizzled ? 1024 : 128) != 0) test::emulator::fail("a box is not aligned");
  const int row_bytes = boxes.length * map.size;
  const int bytes = boxes.count * boxes.rows * row_bytes;
  if (int64_t{target} + bytes > test::emulator::kSharedBytes) {
    test::emulator::fail("a box leaves shared memory");
  }
  if (boxes.count > 1 && (x < 0 || x + boxes.count * boxes.length > map.sizes[0])) {
    test::emulator::fail("one of several boxes leaves its rows");
  }
  for (int i = 0; i < boxes.count * boxes.length; ++i) {
    for (int row = 0; row < boxes.rows; ++row) {
      const bool inside = x + i >= 0 && x + i < map.sizes[0] && y + row >= 0 &&
                          y + row < map.sizes[1] && z >= 0 && z < map.sizes[2];
      const int64_t from = (z * map.sizes[1] + y + row) * map.sizes[0] + x + i;
      uint32_t element = 0;
      if (inside) std::memcpy(&element, map.data + from * map.size, map.size);
      const int box = i / boxes.length, at = i % boxes.length * map.size;
      const int unit = at / 16 ^ (boxes.swizzled ? row % 8 : 0);
      std::memcpy(test::emulator::shared_memory() + target + (box * boxes.rows + row) * row_bytes +
                      unit * 16 + at % 16,
                  &element, map.size);
    }
  }
  barrier.come(static_cast<uint32_t>(bytes));
}

inline void bulk_store(void* target, uint32_t source, uint32_t bytes) {
  if (source % 16 != 0 || bytes % 16 != 0 || reinterpret_cast<uintptr_t>(target) % 16 != 0) {
    test::emulator::fail("a bulk store is not aligned");
  }
  if (int64_t{source} + bytes > test::emulator::kSharedBytes) {
    test::emulator::fail("a bulk store leaves shared memory");
  }
  if (threadIdx.x % 32 == 0) {
    std::memcpy(target, test::emulator::shared_memory() + source, bytes);
  }
}
inline void wait_for_stored_reads() {}

template <int kRegisters>
void take_registers() {}
template <int kRegisters>
void give_up_registers() {}

inline uint32_t load_shared(uint32_t address) {
  if (address % 4 != 0 || address + 4 > test::emulator::kSharedBytes) {
    test::emulator::fail("a load leaves shared memory");
  }
  uint32_t word;
  std::memcpy(&word, test::emulator::shared_memory() + address, sizeof word);
  return word;
}

inline uint32_t load_shared_half(uint32_t address) {
  if (address % 2 != 0) test::emulator::fail("a load is not aligned");
  return load_shared(address & ~3u) >> 8 * (address & 2) & 0xffff;
}

inline char* shared_unit(uint32_t address) {
  if (address % 16 != 0) test::emulator::fail("a unit is not aligned");
  if (int64_t{address} + 16 > test::emulator::kSharedBytes) {
    test::emulator::fail("a unit leaves shared memory");
  }
  return test::emulator::shared_memory() + address;
}
inline float4 load_shared_four(uint32_t address) {
  float4 four;
  std::memcpy(&four, shared_unit(address), sizeof four);
  return four;
}
inline void store_shared(uint32_t address, uint32_t word) {
  if (address % 4 != 0 || int64_t{address} + 4 > test::emulator::kSharedBytes) {
    test::emulator::fail("a store leaves shared memory");
  }
  std::memcpy(test::emulator::shared_memory() + address, &word, sizeof word);
}
inline void store_shared(uint32_t address, float value) {
  store_shared(address, __float_as_uint(value));
}
inline void store_shared_half(uint32_t address, uint32_t half) {
  if (address % 2 != 0 || int64_t{address} + 2 > test::emulator::kSharedBytes) {
    test::emulator::fail("a store leaves shared memory");
  }
  std::memcpy(test::emulator::shared_memory() + address, &half, 2);
}
inline void store_shared_8(uint32_t address, float2 pair) {
  if (address % 8 != 0) test::emulator::fail("a store is not aligned");
  std::memcpy(shared_unit(address & ~15u) + address % 16, &pair, sizeof pair);
}
inline void store_shared_16(uint32_t address, uint4 unit) {
  std::memcpy(shared_unit(address), &unit, sizeof unit);
}
inline void load_transposed(uint32_t column, uint32_t (&words)[4]) {
  test::emulator::WarpValue given{{column}};
  const auto* lanes = test::emulator::warp_exchange(given);
  const int row = threadIdx.x % 32 / 4, pair = threadIdx.x % 4;
  for (int matrix = 0; matrix < 4; ++matrix) {
    uint16_t elements[2];
    for (int e = 0; e < 2; ++e) {
      const auto at = static_cast<uint32_t>(lanes[8 * matrix + 2 * pair + e].words[0]);
      std::memcpy(elements + e, shared_unit(at) + 2 * row, sizeof elements[e]);
    }
    std::memcpy(words + matrix, elements, sizeof elements);
  }
}

// What the lanes of a warp give for the stored matrices.
inline const test::emulator::WarpValue* exchange_matrices(uint32_t address,
                                                          const uint32_t (&words)[4]) {
  shared_unit(address);
  test::emulator::WarpValue given{};
  std::memcpy(given.words, words, sizeof words);
  return test::emulator::warp_exchange(given);
}
inline uint32_t matrix_word(const test::emulator::WarpValue& lane, int matrix) {
  return static_cast<uint32_t>(lane.words[matrix / 2] >> 32 * (matrix % 2));
}
inline void store_transposed(uint32_t column, const uint32_t (&words)[4]) {
  const auto* lanes = exchange_matrices(column, words);
  const int lane = threadIdx.x % 32, e = lane % 2;
  for (int g = 0; g < 8; ++g) {
    const uint32_t word = matrix_word(lanes[4 * g + lane % 8 / 2], lane / 8);
    const auto element = static_cast<uint16_t>(word >> 16 * e);
    std::memcpy(shared_unit(column) + 2 * g, &element, sizeof element);
  }
}
inline void store_matrices(uint32_t row, const uint32_t (&words)[4]) {
  const auto* lanes = exchange_matrices(row, words);
  const int lane = threadIdx.x % 32;
  for (int t = 0; t < 4; ++t) {
    const uint32_t word = matrix_word(lanes[4 * (lane % 8) + t], lane / 8);
    std::memcpy(shared_unit(row) + 4 * t, &word, sizeof word);
  }
}

inline uint32_t unit_of_block(uint32_t address) { return address / 16; }

inline uint64_t wgmma_descriptor(uint32_t start_and_k_step) {
  constexpr uint32_t kMost = 1 << 14;
  if ((start_and_k_step & 0xffff) >= kMost || start_and_k_step >> 16 >= kMost) {
    test::emulator::fail("a wgmma descriptor has no room for a distance");
  }
  return start_and_k_step;
}

inline void wgmma_fence() {}
inline void wgmma_commit() {}
template <int kPending>
void wgmma_wait() {}

// One element of an operand, as the tensor core reads it. float stands for TF32.
template <typename T>
float wgmma_element(uint64_t descriptor, int row, int k) {
  constexpr int kElements = 16 / sizeof(T);
  const uint64_t unit = (descriptor & 0xffff) + k / kElements * (descriptor >> 16) + row;
  const uint64_t at = unit * 16 + k % kElements * sizeof(T);
  if (at + sizeof(T) > test::emulator::kSharedBytes) {
    test::emulator::fail("a wgmma operand leaves shared memory");
  }
  T value;
  std::memcpy(&value, test::emulator::shared_memory() + at, sizeof value);
  if constexpr (std::is_same_v<T, float>) {
    return __uint_as_float(__float_as_uint(value) & 0xffffe000u);
  } else {
    return static_cast<float>(value);
  }
}

template <typename T, int kColumns>
void wgmma(float (&sum)[kColumns / 2], uint64_t a, uint64_t b, int keep) {
  constexpr int kDepth = 32 / sizeof(T);
  const int thread = threadIdx.x % 128, lane = thread % 32;
  for (int i = 0; i < kColumns / 2; ++i) {
    const int row = thread / 32 * 16 + lane / 4 + i / 2 % 2 * 8;
    const int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
    double total = keep ? sum[i] : 0.0;
    for (int k = 0; k < kDepth; ++k) {
      total += static_cast<double>(wgmma_element<T>(a, row, k)) * wgmma_element<T>(b, column, k);
    }
    sum[i] = static_cast<float>(total);
  }
}

// Element k of a row that four lanes gave; float stands for TF32.
template <typename T>
float gathered_element(const test::emulator::WarpValue* lanes, int row_half, int k) {
  constexpr int kElements = 4 / sizeof(T);  // of a register
  uint32_t registers[4];
  std::memcpy(registers, lanes[k / kElements % 4].words, sizeof registers);
  const uint32_t word = registers[k / kElements / 4 * 2 + row_half];
  if constexpr (std::is_same_v<T, float>) {
    return __uint_as_float(word & 0xffffe000u);
  } else {
    T value;
    std::memcpy(&value, reinterpret_cast<const char*>(&word) + k % 2 * sizeof(T), sizeof value);
    return static_cast<float>(value);
  }
}

template <typename T, int kColumns>
void wgmma_gathered(float (&sum)[kColumns / 2], const uint32_t (&a)[4], uint64_t b) {
  test::emulator::WarpValue given{};
  std::memcpy(given.words, a, sizeof a);
  const auto* lanes = test::emulator::warp_exchange(given);
  const int lane = threadIdx.x % 32;
  for (int i = 0; i < kColumns / 2; ++i) {
    const int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
    double total = sum[i];
    for (int k = 0; k < static_cast<int>(32 / sizeof(T)); ++k) {
      const float value = gathered_element<T>(lanes + lane / 4 * 4, i / 2 % 2, k);
      total += static_cast<double>(value) * wgmma_element<T>(b, column, k);
    }
    sum[i] = static_cast<float>(total);
  }
}

}  // namespace engine::cuda
