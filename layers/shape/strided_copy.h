// Copies between two strided views of memory: all that Concat, Split, Slice and Transpose do.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "engine/layer.h"
#include "layers/shape/strided_space.h"

namespace engine {

/// target[...] = source[...] over `space`, whose array 0 is the target and array 1 the source. No
/// two indices of the space may share a target element.
struct StridedCopy {
  StridedSpace space;
  int64_t target_offset = 0;  ///< elements before the first one written
  int64_t source_offset = 0;  ///< elements before the first one read
  int64_t element_bytes = 4;  ///< 2, 4 or 8
};

/// The copy of all `sizes` between arrays with these strides, whole elements of `dtype`.
StridedCopy make_strided_copy(const Shape& sizes, const Shape& target_strides,
                              const Shape& source_strides, DType dtype);

/// Rows and columns of the square tiles in which a transposing copy goes.
inline constexpr int64_t kCopyTile = 32;

/// The loop along which the source is contiguous, where it is another one than the target's and
/// both are long enough that a copy should go through square tiles.
std::optional<int> tiled_source_loop(const StridedSpace& space);

/// The space whose items are tiles: loop `row` and the innermost one count tiles, not elements.
StridedSpace tile_space(const StridedSpace& space, int row);

void strided_copy_cpu(const StridedCopy& copy, const void* source, void* target,
                      ThreadPool& threads);

/// Enqueues the copy; 64-bit sizes throughout, nothing required of alignment beyond the element's.
void strided_copy_cuda(const StridedCopy& copy, const void* source, void* target,
                       CudaStream stream);

/// One run of a copy on whichever device `context` is for.
using CopyFunction = std::function<void(const StepContext&, const void* source, void* target)>;
CopyFunction prepare_strided_copy(const PrepareContext& context, const StridedCopy& copy);

}  // namespace engine
