// Matrix products of a warp (Ampere and later), and the loads of their operands from shared memory.
// Source: PTX ISA, sections ldmatrix and mma.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace engine::cuda {

/// Loads four matrices of 8 rows of 16 bytes; lanes 8 i to 8 i + 7 give the shared addresses of
/// matrix i's rows. Lane 4 g + t has in words[i] word t of row g.
__device__ __forceinline__ void load_matrices(uint32_t (&words)[4], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(row));
}

/// sum += a * b for 16 rows, 8 columns and 32 bytes of the reduction. float stands for TF32. a are
/// the matrices (rows 0 to 7, first 16 bytes), (8 to 15, first), (0 to 7, second), (8 to 15,
/// second); b0 and b1 those of b's columns, first and second. Lane 4 g + t has of sum, for h, e <
/// 2,
///   sum[2 h + e] = row g + 8 h, column 2 t + e.
template <typename T>
__device__ __forceinline__ void multiply_matrices(float* sum, const uint32_t (&a)[4], uint32_t b0,
                                                  uint32_t b1) {
  if constexpr (std::is_same_v<T, __half>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

}  // namespace engine::cuda
