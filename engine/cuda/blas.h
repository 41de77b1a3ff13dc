// Matrix products through cuBLAS, without its headers, every status checked.
#pragma once

#include <cstdint>
#include <string>

#include "engine/device.h"
#include "engine/dtype.h"
#include "engine/layer.h"

namespace engine::cuda {

/// For each i in [0, batch): C_i [m, n] = A_i [m, k] B_i [k, n], all row-major, sums in f32. A_i
/// begins i * a_step elements behind A_0, and so on; a step of 0 uses the same matrix every time.
struct Gemm {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  int64_t a_stride = 0;  ///< elements from one row to the next
  int64_t b_stride = 0;
  int64_t c_stride = 0;
  bool b_transposed = false;  ///< B_i is stored as [n, k]
  int64_t batch = 1;
  int64_t a_step = 0;
  int64_t b_step = 0;
  int64_t c_step = 0;
  DType dtype = DType::kF32;    ///< of A and B
  DType c_dtype = DType::kF32;  ///< dtype, or f32
  bool tf32 = false;            ///< products in TF32, where dtype is f32
};

/// Scratch that gemm() wants, in bytes: what NVIDIA recommends for Hopper
/// (https://docs.nvidia.com/cuda/cublas/#cublassetworkspace).
inline constexpr int64_t kGemmWorkspaceBytes = int64_t{32} << 20;

/// Makes cuBLAS ready on `device`, which allocates. Called while preparing, so that gemm() does
/// not. Thread-safe. Throws Error(kOutOfMemory) or Error(kDevice).
void prepare_gemm(Device device);

/// The nearest value with TF32's 10 bits of mantissa, halves away from zero; infinities and NaN
/// stay what they are.
float round_to_tf32(float value);

/// The layer's parameter as gemm() multiplies by it: in the storage dtype, and rounded to TF32
/// where products are in TF32, since the tensor cores would drop the low bits instead.
Tensor gemm_parameter(const PrepareContext& context, const std::string& name);

/// Enqueues the product. `workspace` has kGemmWorkspaceBytes, 256-byte aligned, and is in use until
/// the product is done. Thread-safe. Throws Error(kDevice) with the sizes where cuBLAS refuses.
void gemm(const Gemm& gemm, Device device, const void* a, const void* b, void* c, void* workspace,
          CudaStream stream);

}  // namespace engine::cuda
