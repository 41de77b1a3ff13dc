// Matrix products with a matrix added to them, through cuBLASLt, without its headers.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/cuda/blas.h"

namespace engine::cuda {

/// For each i in [0, batch) of the product: C_i = A_i B_i + E_i, with E_i [m, n] row-major in the
/// dtype of C, which is that of A and B. Added in f32 and rounded once.
struct GemmSum {
  Gemm gemm;
  int64_t e_stride = 0;  ///< elements from one row of E_i to the next
  int64_t e_step = 0;    ///< elements from E_i to the next; 0 adds the same matrix every time
};

/// Samples that one call of cuBLASLt takes at most.
inline constexpr int64_t kMaxGemmSumBatch = 65535;

/// A GemmSum whose algorithm is chosen when it is made, so that running it allocates nothing.
/// Immutable: may be run from many threads at once.
class PlannedGemmSum {
 public:
  /// `batch` is at most kMaxGemmSumBatch. Throws Error(kDevice) where cuBLASLt has no algorithm,
  /// Error(kOutOfMemory).
  PlannedGemmSum(const GemmSum& sum, Device device);

  /// Enqueues it. Pointers need the alignment of their elements only. `workspace` has
  /// kGemmWorkspaceBytes, 256-byte aligned, and is in use until the product is done. Throws
  /// Error(kDevice) with the sizes where cuBLASLt refuses.
  void run(const void* a, const void* b, const void* e, void* c, void* workspace,
           CudaStream stream) const;

 private:
  struct Plan;
  std::shared_ptr<const Plan> plan_;
};

}  // namespace engine::cuda
