// How reductions are cut into pieces, and the scratch memory that takes.
#pragma once

#include <cstdint>

#include "engine/dtype.h"

namespace engine {

/// Elements that one block of a GPU, or one turn of a CPU thread, reduces: a fixed number, so that
/// a result depends on neither the batch nor the number of threads.
inline constexpr int64_t kChunk = 16384;

/// Chunks of a segment of `length` elements; 1 for an empty one.
inline int64_t chunks_of(int64_t length) {
  return length <= kChunk ? 1 : (length + kChunk - 1) / kChunk;
}

/// Most packs (16 bytes) of a row that a block of the GPU keeps in registers: 8 for each of its 256
/// threads.
inline constexpr int64_t kRegisterPacks = 256 * 8;

/// Packs of `width` elements that a row of `length` touches at most, wherever it begins.
inline int64_t packs_of_row(int64_t length, int64_t width) {
  return length % width == 0 ? length / width : (length + 2 * width - 2) / width;
}

/// Whether a row is kept in registers, so that it is read only once.
inline bool row_fits_registers(int64_t length, DType dtype) {
  return packs_of_row(length, 16 / static_cast<int64_t>(size_of(dtype))) <= kRegisterPacks;
}

/// Bytes of workspace of a reduction: a state of `state_bytes` for each chunk of each segment,
/// where there is more than one.
inline int64_t chunk_bytes(int64_t segments, int64_t longest, int64_t state_bytes) {
  return chunks_of(longest) == 1 ? 0 : segments * chunks_of(longest) * state_bytes;
}

}  // namespace engine
