// Tensors in global memory as Hopper's copy engine takes them.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "engine/dtype.h"

namespace engine::cuda {

/// A tensor and the box of it that one copy brings to shared memory (tensor_copy() in hopper.h). A
/// kernel takes it as a parameter in constant memory.
using TensorMap = CUtensorMap;

/// [matrices, rows, length] elements of `dtype`, f32, f16 or bf16, without gaps.
struct TensorRows {
  const void* data;  ///< at a multiple of 16 bytes
  DType dtype;
  int64_t matrices;
  int64_t rows;
  int64_t length;  ///< a multiple of 16 bytes
};

/// Units of 16 bytes in a row of a swizzled box.
inline constexpr int kSwizzledUnits = 8;

/// Boxes of `box_rows` rows of `box_length` elements of one matrix. Swizzled, these are
/// kSwizzledUnits, and unit i of row r lies at place i ^ r % 8 of the row. Throws Error(kDevice)
/// where the driver refuses.
TensorMap tensor_map(const TensorRows& tensor, int box_rows, int box_length, bool swizzled);

}  // namespace engine::cuda
