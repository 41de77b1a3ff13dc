#include "engine/cuda/blas_library.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

namespace engine::cuda {

// Loading takes no GPU.
TEST_CASE("cuBLAS and cuBLASLt are found and answer") {
  const BlasLibrary& library = blas_library();
  const std::string reason = library.cublasGetStatusString(CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(reason.find("supported") != std::string::npos);
  cublasLtMatrixLayout_t layout = nullptr;
  REQUIRE(library.cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 4, 3, 4) ==
          CUBLAS_STATUS_SUCCESS);
  const int32_t count = 2;
  CHECK(library.cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                                 sizeof(count)) == CUBLAS_STATUS_SUCCESS);
  CHECK(library.cublasLtMatrixLayoutDestroy(layout) == CUBLAS_STATUS_SUCCESS);
}

}  // namespace engine::cuda
