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

TensorMap tensor_map(const TensorRows& tensor, int box_rows, int box_length, bool swizzled) {
  static const Encode encode = find_encode();
  const auto row_bytes =
      static_cast<cuuint64_t>(tensor.length) * static_cast<cuuint64_t>(size_of(tensor.dtype));
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(tensor.length),
                              static_cast<cuuint64_t>(tensor.rows),
                              static_cast<cuuint64_t>(tensor.matrices)};
  const cuuint64_t pitches[] = {row_bytes, row_bytes * sizes[1]};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(box_length), static_cast<cuuint32_t>(box_rows),
                            1};
  const cuuint32_t steps[] = {1, 1, 1};
  TensorMap map;
  const CUresult result =
      encode(&map, data_type(tensor.dtype), 3, const_cast<void*>(tensor.data), sizes, pitches, box,
             steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             swizzled ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
             CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error(ErrorKind::kDevice,
                fmt::format("cuTensorMapEncodeTiled refuses a tensor [{}, {}, {}] (error {})",
                            tensor.matrices, tensor.rows, tensor.length, static_cast<int>(result)));
  }
  return map;
}

}  // namespace engine::cuda
