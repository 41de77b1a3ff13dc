#include "layers/shape/strided_copy.h"

#include <cstring>

#include "engine/cpu/share_work.h"
#include "engine/cpu/thread_pool.h"
#include "engine/cuda/runtime.h"

namespace engine {
namespace {

// Rows that are read side by side: of those a power of two apart, a set of a cache holds eight
// lines.
constexpr int64_t kStreams = 8;
constexpr int64_t kShortestTiled = 8;  // a shorter side gains nothing from tiles

// Runs of the innermost loop: a memcpy where both sides are contiguous.
template <typename T>
void copy_runs(const StridedSpace& space, const T* source, T* target, ThreadPool& threads) {
  const int64_t target_step = space.inner_stride(0);
  const int64_t source_step = space.inner_stride(1);
  const int64_t elements = space.elements();
  threads.parallel_for(elements, cpu::element_grain(elements), [&](int64_t begin, int64_t end) {
    for_each_run(space, begin, end, [&](const int64_t* offsets, int64_t count) {
      T* to = target + offsets[0];
      const T* from = source + offsets[1];
      if (target_step == 1 && source_step == 1) {
        std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
        return;
      }
      for (int64_t i = 0; i < count; ++i) to[i * target_step] = from[i * source_step];
    });
  });
}

// to[r * target_step + c] = from[c * source_step + r] for r < rows and c < columns, at most
// kStreams.
template <typename T>
void copy_streams(const T* from, int64_t source_step, int64_t rows, int64_t columns, T* to,
                  int64_t target_step) {
  if (columns < kStreams) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) to[r * target_step + c] = from[c * source_step + r];
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < kStreams; ++c) to[r * target_step + c] = from[c * source_step + r];
  }
}

// Square tiles, read along loop `row` (contiguous in the source), written along the innermost.
template <typename T>
void copy_tiles(const StridedSpace& space, int row, const T* source, T* target,
                ThreadPool& threads) {
  const StridedSpace tiles = tile_space(space, row);
  const int column = space.rank - 1;
  const int64_t target_step = space.strides[0][row];
  const int64_t source_step = space.strides[1][column];
  const int64_t grain = cpu::element_grain(tiles.elements(), kCopyTile * kCopyTile);
  threads.parallel_for(tiles.elements(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      int64_t first[StridedSpace::kMaxRank] = {};
      int64_t rest = tile;
      T* to = target;
      const T* from = source;
      for (int d = tiles.rank - 1; d >= 0; --d) {
        first[d] = rest % tiles.sizes[d];
        rest /= tiles.sizes[d];
        to += first[d] * tiles.strides[0][d];
        from += first[d] * tiles.strides[1][d];
      }
      const int64_t rows = std::min(kCopyTile, space.sizes[row] - first[row] * kCopyTile);
      const int64_t columns = std::min(kCopyTile, space.sizes[column] - first[column] * kCopyTile);
      for (int64_t c = 0; c < columns; c += kStreams) {
        copy_streams(from + c * source_step, source_step, rows, std::min(kStreams, columns - c),
                     to + c, target_step);
      }
    }
  });
}

template <typename T>
void copy_elements(const StridedCopy& copy, const void* source, void* target, ThreadPool& threads) {
  const T* from = static_cast<const T*>(source) + copy.source_offset;
  T* to = static_cast<T*>(target) + copy.target_offset;
  if (const auto row = tiled_source_loop(copy.space)) {
    copy_tiles(copy.space, *row, from, to, threads);
  } else {
    copy_runs(copy.space, from, to, threads);
  }
}

}  // namespace

StridedCopy make_strided_copy(const Shape& sizes, const Shape& target_strides,
                              const Shape& source_strides, DType dtype) {
  StridedCopy copy;
  copy.space = make_strided_space(sizes, {target_strides, source_strides});
  copy.element_bytes = static_cast<int64_t>(size_of(dtype));
  return copy;
}

std::optional<int> tiled_source_loop(const StridedSpace& space) {
  const int inner = space.rank - 1;
  if (space.strides[0][inner] != 1 || space.strides[1][inner] == 1) return std::nullopt;
  for (int d = 0; d < inner; ++d) {
    if (space.strides[1][d] != 1) continue;
    if (space.sizes[d] < kShortestTiled || space.sizes[inner] < kShortestTiled) break;
    return d;
  }
  return std::nullopt;
}

StridedSpace tile_space(const StridedSpace& space, int row) {
  StridedSpace tiles = space;
  for (const int d : {row, space.rank - 1}) {
    tiles.sizes[d] = (space.sizes[d] + kCopyTile - 1) / kCopyTile;
    for (int k = 0; k < space.arrays; ++k) tiles.strides[k][d] *= kCopyTile;
  }
  return tiles;
}

void strided_copy_cpu(const StridedCopy& copy, const void* source, void* target,
                      ThreadPool& threads) {
  if (copy.element_bytes == 8) return copy_elements<uint64_t>(copy, source, target, threads);
  if (copy.element_bytes == 4) return copy_elements<uint32_t>(copy, source, target, threads);
  copy_elements<uint16_t>(copy, source, target, threads);
}

CopyFunction prepare_strided_copy(const PrepareContext& context, const StridedCopy& copy) {
  if (context.device.is_cuda()) {
    return [copy](const StepContext& c, const void* source, void* target) {
      if constexpr (kWithCuda) strided_copy_cuda(copy, source, target, c.stream);
    };
  }
  return [copy](const StepContext& c, const void* source, void* target) {
    strided_copy_cpu(copy, source, target, *c.threads);
  };
}

}  // namespace engine
