#include "engine/cuda/gemm_sum.h"

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <numeric>
#include <string>

#include "engine/cuda/blas_status.h"
#include "engine/cuda/runtime.h"

namespace engine::cuda {
namespace {

constexpr uint32_t kAligned = 16;  // bytes: what the copy engine and 16-byte accesses need

std::string to_string(const GemmSum& sum) {
  const Gemm& g = sum.gemm;
  return fmt::format("matrix product [{} x {}] [{} x {}] and sum, batch {}, {}{}", g.m, g.k, g.k,
                     g.n, g.batch, to_string(g.dtype), g.tf32 ? ", tf32" : "");
}

// One handle per device, which serves any number of threads at once.
cublasLtHandle_t handle_of(Device device) {
  // Never destroyed: at exit the driver may be gone before it.
  static auto& all = *new std::map<int, cublasLtHandle_t>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  use_device(device);
  const auto found = all.find(device.index);
  if (found != all.end()) return found->second;
  cublasLtHandle_t handle = nullptr;
  check(blas_library().cublasLtCreate(&handle), "cublasLtCreate");
  return all[device.index] = handle;
}

// cuBLASLt's descriptions, each destroyed with its owner.
template <typename Handle, auto kDestroy>
struct Destroy {
  using pointer = Handle;
  void operator()(Handle handle) const { (blas_library().*kDestroy)(handle); }
};
template <typename Handle, auto kDestroy>
using Owned = std::unique_ptr<Handle, Destroy<Handle, kDestroy>>;
using Layout = Owned<cublasLtMatrixLayout_t, &BlasLibrary::cublasLtMatrixLayoutDestroy>;
using Operation = Owned<cublasLtMatmulDesc_t, &BlasLibrary::cublasLtMatmulDescDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, &BlasLibrary::cublasLtMatmulPreferenceDestroy>;

// A column-major matrix of each sample.
Layout make_layout(DType dtype, int64_t rows, int64_t columns, int64_t stride, int64_t batch,
                   int64_t step) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(blas_library().cublasLtMatrixLayoutCreate(&layout, data_type(dtype),
                                                  static_cast<uint64_t>(rows),
                                                  static_cast<uint64_t>(columns), stride),
        "cublasLtMatrixLayoutCreate");
  Layout owned(layout);
  const auto count = static_cast<int32_t>(batch);
  check(blas_library().cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                        &count, sizeof(count)),
        "CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT");
  check(blas_library().cublasLtMatrixLayoutSetAttribute(
            layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof(step)),
        "CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET");
  return owned;
}

Operation make_operation(const Gemm& g) {
  cublasLtMatmulDesc_t operation = nullptr;
  check(blas_library().cublasLtMatmulDescCreate(
            &operation, g.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  Operation owned(operation);
  const cublasOperation_t first = g.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  check(blas_library().cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA,
                                                      &first, sizeof(first)),
        "CUBLASLT_MATMUL_DESC_TRANSA");
  return owned;
}

// What an algorithm may count on, and use.
Preference make_preference(const GemmSum& sum, uint32_t alignment) {
  const Gemm& g = sum.gemm;
  cublasLtMatmulPreference_t preference = nullptr;
  check(blas_library().cublasLtMatmulPreferenceCreate(&preference),
        "cublasLtMatmulPreferenceCreate");
  Preference owned(preference);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check(blas_library().cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value,
                                                              sizeof(value)),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  // Where every matrix of an operand starts, given where the first one does.
  const auto start = [&](int64_t step) {
    return static_cast<uint32_t>(
        std::gcd(int64_t{alignment}, step * static_cast<int64_t>(size_of(g.dtype))));
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(kGemmWorkspaceBytes));
  // Partial sums of f16 and bf16 products stay in f32.
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, start(g.b_step));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, start(g.a_step));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, start(sum.e_step));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, start(g.c_step));
  return owned;
}

bool has_aligned_rows(const GemmSum& sum) {
  const Gemm& g = sum.gemm;
  const int64_t unit = kAligned / static_cast<int64_t>(size_of(g.dtype));
  return g.a_stride % unit == 0 && g.b_stride % unit == 0 && g.c_stride % unit == 0 &&
         sum.e_stride % unit == 0;
}

uint32_t tile_of(const cublasLtMatmulAlgo_t& algo) {
  uint32_t tile = CUBLASLT_MATMUL_TILE_UNDEFINED;
  size_t written = 0;
  check(blas_library().cublasLtMatmulAlgoConfigGetAttribute(&algo, CUBLASLT_ALGO_CONFIG_TILE_ID,
                                                            &tile, sizeof(tile), &written),
        "CUBLASLT_ALGO_CONFIG_TILE_ID");
  return tile;
}

bool is_aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % kAligned == 0;
}

}  // namespace

// cuBLASLt is column-major: a row-major C is its transpose, C' = B' A' + E'.
struct PlannedGemmSum::Plan {
  GemmSum sum;
  cublasLtHandle_t handle;
  Operation operation;
  Layout b, a, e, c;
  cublasLtMatmulAlgo_t aligned;  // where every operand starts at a multiple of kAligned
  cublasLtMatmulAlgo_t any;      // at any element

  Plan(const GemmSum& gemm_sum, Device device)
      : sum(gemm_sum), handle(handle_of(device)), operation(make_operation(sum.gemm)) {
    const Gemm& g = sum.gemm;
    b = make_layout(g.dtype, g.b_transposed ? g.k : g.n, g.b_transposed ? g.n : g.k, g.b_stride,
                    g.batch, g.b_step);
    a = make_layout(g.dtype, g.k, g.m, g.a_stride, g.batch, g.a_step);
    e = make_layout(g.dtype, g.n, g.m, sum.e_stride, g.batch, sum.e_step);
    c = make_layout(g.dtype, g.n, g.m, g.c_stride, g.batch, g.c_step);
    aligned = choose(kAligned);
    any = choose(static_cast<uint32_t>(size_of(g.dtype)));
  }

  // The first algorithm that cuBLASLt's heuristic names, which measures nothing, but one with a
  // tile of 128 x 128 where it names any and the copy engine can fetch the operands: a block reads
  // its part of E behind its products, and only with smaller tiles do other blocks multiply
  // meanwhile, which the heuristic leaves out (H200, [512 x 512] [512 x 16000] in tf32: 0.54 ms
  // instead of 0.76).
  cublasLtMatmulAlgo_t choose(uint32_t alignment) const {
    constexpr int kMost = 8;
    const Preference preference = make_preference(sum, alignment);
    cublasLtMatmulHeuristicResult_t results[kMost];
    int count = 0;
    check(blas_library().cublasLtMatmulAlgoGetHeuristic(handle, operation.get(), b.get(), a.get(),
                                                        e.get(), c.get(), preference.get(), kMost,
                                                        results, &count),
          to_string(sum));
    if (count == 0) check(CUBLAS_STATUS_NOT_SUPPORTED, to_string(sum));
    if (alignment == kAligned && has_aligned_rows(sum) && sum.gemm.m >= 128) {
      for (int i = 0; i < count; ++i) {
        const bool usable = results[i].state == CUBLAS_STATUS_SUCCESS;
        if (usable && tile_of(results[i].algo) == CUBLASLT_MATMUL_TILE_128x128) {
          return results[i].algo;
        }
      }
    }
    return results[0].algo;
  }
};

PlannedGemmSum::PlannedGemmSum(const GemmSum& sum, Device device)
    : plan_(std::make_shared<const Plan>(sum, device)) {}

void PlannedGemmSum::run(const void* a, const void* b, const void* e, void* c, void* workspace,
                         CudaStream stream) const {
  const float one = 1.0f;
  const Plan& p = *plan_;
  const bool aligned = is_aligned(a) && is_aligned(b) && is_aligned(e) && is_aligned(c);
  check(
      blas_library().cublasLtMatmul(p.handle, p.operation.get(), &one, b, p.b.get(), a, p.a.get(),
                                    &one, e, p.e.get(), c, p.c.get(), aligned ? &p.aligned : &p.any,
                                    workspace, static_cast<size_t>(kGemmWorkspaceBytes), stream),
      to_string(p.sum));
}

}  // namespace engine::cuda
