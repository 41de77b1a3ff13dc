#include "engine/cuda/blas.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>

#include "engine/cuda/blas_status.h"
#include "engine/cuda/runtime.h"

namespace engine::cuda {
namespace {

// cuBLAS passes the batch to the grid's z dimension in some of its kernels.
constexpr int64_t kMaxBatch = 65535;

std::string to_string(const Gemm& g) {
  return fmt::format("matrix product [{} x {}] [{} x {}], batch {}, {} to {}{}", g.m, g.k, g.k, g.n,
                     g.batch, to_string(g.dtype), to_string(g.c_dtype), g.tf32 ? ", tf32" : "");
}

// One handle per device. A handle serves one thread at a time, for the microseconds that enqueueing
// takes; stream and workspace are set anew each time.
struct Blas {
  std::mutex mutex;
  cublasHandle_t handle = nullptr;
};

Blas& blas_of(Device device) {
  // Never destroyed: at exit the driver may be gone before it.
  static auto& all = *new std::map<int, std::unique_ptr<Blas>>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::unique_ptr<Blas>& found = all[device.index];
  if (!found) {
    use_device(device);
    auto blas = std::make_unique<Blas>();
    check(blas_library().cublasCreate(&blas->handle), "cublasCreate");
    // Partial sums of f16 and bf16 products stay in f32.
    check(blas_library().cublasSetMathMode(
              blas->handle,
              static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH |
                                        CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)),
          "cublasSetMathMode");
    found = std::move(blas);
  }
  return *found;
}

const void* advance(const void* pointer, int64_t elements, DType dtype) {
  return static_cast<const char*>(pointer) + elements * static_cast<int64_t>(size_of(dtype));
}

}  // namespace

float round_to_tf32(float value) {
  if (!std::isfinite(value)) return value;
  return std::bit_cast<float>((std::bit_cast<uint32_t>(value) + 0x1000u) & ~0x1fffu);
}

void prepare_gemm(Device device) { blas_of(device); }

Tensor gemm_parameter(const PrepareContext& context, const std::string& name) {
  const DType dtype = storage_dtype(context.precision);
  if (context.precision != Precision::kTf32) return context.parameter(name, dtype);
  return context.weight(name + ":tf32", [&] {
    Tensor rounded = context.layer->parameter(name).clone();
    float* values = rounded.data<float>();
    for (int64_t i = 0; i < rounded.elements(); ++i) values[i] = round_to_tf32(values[i]);
    return rounded;
  });
}

void gemm(const Gemm& g, Device device, const void* a, const void* b, void* c, void* workspace,
          CudaStream stream) {
  const float one = 1.0f, zero = 0.0f;
  const auto compute = g.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  Blas& blas = blas_of(device);
  const std::lock_guard lock(blas.mutex);
  check(blas_library().cublasSetStream(blas.handle, stream), "cublasSetStream");
  check(blas_library().cublasSetWorkspace(blas.handle, workspace, kGemmWorkspaceBytes),
        "cublasSetWorkspace");
  for (int64_t first = 0; first < g.batch; first += kMaxBatch) {
    const int64_t batch = std::min(g.batch - first, kMaxBatch);
    // cuBLAS is column-major: a row-major C is its transpose, C' = B' A'.
    check(blas_library().cublasGemmStridedBatchedEx_64(
              blas.handle, g.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, CUBLAS_OP_N, g.n, g.m, g.k,
              &one, advance(b, first * g.b_step, g.dtype), data_type(g.dtype), g.b_stride, g.b_step,
              advance(a, first * g.a_step, g.dtype), data_type(g.dtype), g.a_stride, g.a_step,
              &zero, const_cast<void*>(advance(c, first * g.c_step, g.c_dtype)),
              data_type(g.c_dtype), g.c_stride, g.c_step, batch, compute, CUBLAS_GEMM_DEFAULT),
          to_string(g));
  }
}

}  // namespace engine::cuda
