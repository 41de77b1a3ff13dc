// cuBLAS and cuBLASLt, which are loaded when the first of their functions is called: that takes 75
// ms, which a program that stays on the CPU would otherwise wait for at its start.
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>

// The functions in use. cublas_v2.h renames some by macros.
#define ENGINE_CUBLAS_FUNCTIONS(F) \
  F(cublasCreate)                  \
  F(cublasGetStatusString)         \
  F(cublasSetMathMode)             \
  F(cublasSetStream)               \
  F(cublasSetWorkspace)            \
  F(cublasGemmStridedBatchedEx_64)
#define ENGINE_CUBLASLT_FUNCTIONS(F)      \
  F(cublasLtCreate)                       \
  F(cublasLtMatmul)                       \
  F(cublasLtMatmulAlgoConfigGetAttribute) \
  F(cublasLtMatmulAlgoGetHeuristic)       \
  F(cublasLtMatmulDescCreate)             \
  F(cublasLtMatmulDescDestroy)            \
  F(cublasLtMatmulDescSetAttribute)       \
  F(cublasLtMatmulPreferenceCreate)       \
  F(cublasLtMatmulPreferenceDestroy)      \
  F(cublasLtMatmulPreferenceSetAttribute) \
  F(cublasLtMatrixLayoutCreate)           \
  F(cublasLtMatrixLayoutDestroy)          \
  F(cublasLtMatrixLayoutSetAttribute)

namespace engine::cuda {

/// Pointers to the functions, by their names.
struct BlasLibrary {
#define ENGINE_DECLARE(function) decltype(&::function) function = nullptr;
  ENGINE_CUBLAS_FUNCTIONS(ENGINE_DECLARE)
  ENGINE_CUBLASLT_FUNCTIONS(ENGINE_DECLARE)
#undef ENGINE_DECLARE
};

/// The libraries of the version that this was compiled with, loaded. Thread-safe. Throws
/// Error(kDevice) where they are not found.
const BlasLibrary& blas_library();

}  // namespace engine::cuda
