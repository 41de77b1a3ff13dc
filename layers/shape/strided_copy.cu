// Copies between strided views: target[t(i)] = source[s(i)], where i runs over up to six nested
// loops and t and s are linear in the loop indices.
//
// strided_copy: one thread an element, innermost loop fastest, grid stride. Where both sides are
// contiguous along the innermost loop and everything divides, an "element" is up to 16 bytes of
// neighbours, so joining or splitting channels moves 16 bytes a thread. Shared memory: none.
//
// strided_copy_tiled: for transposes, where the source is contiguous along another loop than the
// target. A block of 32 x 8 threads moves one 32 x 32 tile at a time: it reads 32 rows along the
// source's contiguous loop, stores them to shared memory (33 columns, so that a column's 32
// elements lie in 32 banks), and writes them along the target's. Blocks stride over all tiles.
//
// Bytes moved: each element read once and written once, which is what limits both.
// Requires: what strided_copy.h says; nothing else.
#include <type_traits>

#include "engine/cuda/launch.h"
#include "engine/cuda/raw_type.h"
#include "layers/shape/strided_copy.h"
#include "layers/shape/strided_index.h"

namespace engine {
namespace {

constexpr int kThreads = 256;
constexpr int kWidest = 16;                   // bytes that one thread moves at once
constexpr int kTile = kCopyTile;              // one warp reads or writes one line of a tile
constexpr int kTileLines = kThreads / kTile;  // lines of a tile that a block moves at once

template <typename T>
__global__ void strided_copy_kernel(StridedSpace space, LoopDivider divider, const T* source,
                                    T* target, int64_t count) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    const LoopIndices indices = divider.split(i);
    target[element_at(space, 0, indices)] = source[element_at(space, 1, indices)];
  }
}

// What the tiled kernel needs beside the space of tiles.
struct Tiling {
  int row;       // the loop along which the source is contiguous
  int column;    // the innermost loop, along which the target is
  int64_t rows;  // their sizes in elements
  int64_t columns;
  int64_t target_row_stride;
  int64_t source_column_stride;
};

template <typename T>
__global__ void strided_copy_tiled_kernel(StridedSpace tiles, LoopDivider divider, Tiling tiling,
                                          const T* source, T* target, int64_t count) {
  __shared__ T tile[kTile][kTile + 1];
  const int lane = threadIdx.x % kTile;
  const int first_line = threadIdx.x / kTile;
  // The bound is the same for all threads of a block, so all of them reach both barriers.
  for (int64_t t = blockIdx.x; t < count; t += gridDim.x) {
    const LoopIndices indices = divider.split(t);
    const T* from = source + element_at(tiles, 1, indices);
    T* to = target + element_at(tiles, 0, indices);
    const int64_t rows = tiling.rows - index_of(indices, tiling.row) * kTile;
    const int64_t columns = tiling.columns - index_of(indices, tiling.column) * kTile;
    for (int c = first_line; c < kTile; c += kTileLines) {
      if (c < columns && lane < rows) tile[c][lane] = from[c * tiling.source_column_stride + lane];
    }
    __syncthreads();
    for (int r = first_line; r < kTile; r += kTileLines) {
      if (r < rows && lane < columns) to[r * tiling.target_row_stride + lane] = tile[lane][r];
    }
    __syncthreads();
  }
}

bool is_aligned(const void* pointer, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % static_cast<uintptr_t>(bytes) == 0;
}

bool is_even(const StridedSpace& space, int array) {
  for (int d = 0; d + 1 < space.rank; ++d) {
    if (space.strides[array][d] % 2 != 0) return false;
  }
  return true;
}

// Pairs neighbours into elements of twice the size for as long as both sides allow it.
void widen(StridedSpace* space, int64_t* bytes, const void* source, const void* target) {
  const int inner = space->rank - 1;
  if (space->strides[0][inner] != 1 || space->strides[1][inner] != 1) return;
  while (*bytes < kWidest && space->sizes[inner] % 2 == 0 && is_even(*space, 0) &&
         is_even(*space, 1) && is_aligned(source, *bytes * 2) && is_aligned(target, *bytes * 2)) {
    *bytes *= 2;
    space->sizes[inner] /= 2;
    for (int d = 0; d < inner; ++d) {
      space->strides[0][d] /= 2;
      space->strides[1][d] /= 2;
    }
  }
}

void launch_tiled(const StridedSpace& space, int row, int64_t bytes, const void* source,
                  void* target, CudaStream stream) {
  const int column = space.rank - 1;
  const Tiling tiling{row,
                      column,
                      space.sizes[row],
                      space.sizes[column],
                      space.strides[0][row],
                      space.strides[1][column]};
  const StridedSpace tiles = tile_space(space, row);
  const int64_t count = tiles.elements();
  cuda::LaunchConfig config{"strided_copy_tiled", cuda::grid_for(count, 1)};
  config.block = kThreads;
  config.stream = stream;
  cuda::with_raw_type(bytes, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    cuda::launch(strided_copy_tiled_kernel<T>, config, tiles, LoopDivider(tiles), tiling,
                 static_cast<const T*>(source), static_cast<T*>(target), count);
  });
}

}  // namespace

void strided_copy_cuda(const StridedCopy& copy, const void* source, void* target,
                       CudaStream stream) {
  StridedSpace space = copy.space;
  int64_t bytes = copy.element_bytes;
  const void* from = static_cast<const char*>(source) + copy.source_offset * bytes;
  void* to = static_cast<char*>(target) + copy.target_offset * bytes;
  if (const auto row = tiled_source_loop(space)) {
    launch_tiled(space, *row, bytes, from, to, stream);
    return;
  }
  widen(&space, &bytes, from, to);
  const int64_t count = space.elements();
  cuda::LaunchConfig config{"strided_copy", cuda::grid_for(count, kThreads)};
  config.block = kThreads;
  config.stream = stream;
  cuda::with_raw_type(bytes, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    cuda::launch(strided_copy_kernel<T>, config, space, LoopDivider(space),
                 static_cast<const T*>(from), static_cast<T*>(to), count);
  });
}

}  // namespace engine
