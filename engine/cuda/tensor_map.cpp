#include "engine/cuda/tensor_map.h"

#include <cuda_runtime.h>
#include <fmt/format.h>

#include "engine/cuda/check.h"
#include "engine/error.h"

namespace engine::cuda {
namespace {

// The driver's function, found at run time: programs link to the runtime only.
using Encode = decltype(&cuTensorMapEncodeTiled);

Encode find_encode() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                         cudaEnableDefault, &result),
        "cudaGetDriverEntryPointByVersion");
#else
  check(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &result),
        "cudaGetDriverEntryPoint");
#endif
  if (result != cudaDriverEntryPointSuccess) {
    throw Error(ErrorKind::kDevice,
                "the CUDA driver has no cuTensorMapEncodeTiled; use one of "
                "CUDA 12 or later");
  }
  return reinterpret_cast<Encode>(function);
}

CUtensorMapDataType data_type(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    case DType::kBF16:
      return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    default:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  }
}

}  // namespace

TensorMap tensor_map(const TensorRows& tensor, const TensorBoxes& boxes) {
  static const Encode encode = find_encode();
  const auto size = static_cast<cuuint64_t>(size_of(tensor.dtype));
  const auto length = static_cast<cuuint64_t>(tensor.length);
  const auto rows = static_cast<cuuint64_t>(tensor.rows);
  const auto count = static_cast<cuuint32_t>(boxes.count);
  const auto box_length = static_cast<cuuint32_t>(boxes.length);
  // Boxes are a dimension of their own, which overlaps with the first one.
  const cuuint64_t sizes[] = {length, rows, count, static_cast<cuuint64_t>(tensor.matrices)};
  const cuuint64_t pitches[] = {size * length, size * box_length, size * length * rows};
  const cuuint32_t box[] = {box_length, static_cast<cuuint32_t>(boxes.rows), count, 1};
  const cuuint32_t steps[] = {1, 1, 1, 1};
  TensorMap map;
  const CUresult result =
      encode(&map, data_type(tensor.dtype), 4, const_cast<void*>(tensor.data), sizes, pitches, box,
             steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             boxes.swizzled ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
             CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error(ErrorKind::kDevice,
                fmt::format("cuTensorMapEncodeTiled refuses a tensor [{}, {}, {}] (error {})",
                            tensor.matrices, tensor.rows, tensor.length, static_cast<int>(result)));
  }
  return map;
}

}  // namespace engine::cuda
