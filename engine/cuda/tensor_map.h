// Tensors in global memory as Hopper's copy engine takes them.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "engine/dtype.h"

namespace engine::cuda {

/// A tensor and the boxes of it that one copy brings to shared memory (tensor_copy() in hopper.h).
/// A kernel takes it as a parameter in constant memory.
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

/// What one copy brings: `count` boxes of `rows` rows of `length` elements of one matrix, which lie
/// side by side in the tensor and one after the other in shared memory. Where there are several,
/// all must lie within rows of the tensor. Swizzled rows are kSwizzledUnits, and unit i of row r
/// lies at place i ^ r % 8 of the row.
struct TensorBoxes {
  int count;
  int rows;
  int length;
  bool swizzled;
};

/// Throws Error(kDevice) where the driver refuses.
TensorMap tensor_map(const TensorRows& tensor, const TensorBoxes& boxes);

}  // namespace engine::cuda
