// What the users of cuBLAS and cuBLASLt share: status codes as Errors, and element types.
#pragma once

#include <fmt/format.h>

#include <string>

#include "engine/cuda/blas_library.h"
#include "engine/dtype.h"
#include "engine/error.h"

namespace engine::cuda {

/// Throws Error(kOutOfMemory) or Error(kDevice) unless `status` is success; `what` says which call.
inline void check(cublasStatus_t status, const std::string& what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const auto kind =
      status == CUBLAS_STATUS_ALLOC_FAILED ? ErrorKind::kOutOfMemory : ErrorKind::kDevice;
  throw Error(kind,
              fmt::format("cuBLAS: {}: {}", what, blas_library().cublasGetStatusString(status)));
}

/// Of a floating-point dtype.
inline cudaDataType_t data_type(DType dtype) {
  return dtype == DType::kF16 ? CUDA_R_16F : (dtype == DType::kBF16 ? CUDA_R_16BF : CUDA_R_32F);
}

}  // namespace engine::cuda
