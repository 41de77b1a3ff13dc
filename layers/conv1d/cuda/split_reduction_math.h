// What the split reduction computes with: loads of single inputs, and the products of one step in
// each precision (conv1d_split_reduction.cu).
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace engine::cuda {

/// The arithmetic of a precision: its element type, how elements become a word of operand B, and
/// the products of one step. Fragments of a matrix instruction, for lane = 4 row + t: word e of A
/// holds row + 8 (e % 2) and word 4 (e / 2) + t of the step; word j of B holds word 4 j + t. The
/// instruction numbers the values of a step differently, but A and B agree, and a sum's terms may
/// come in any order.
struct Fp32Math {
  using Element = float;
  using Pair = uint2;  // of neighbouring positions
  static constexpr int kWidth = 1;

  static __device__ __forceinline__ uint32_t word(const float (&value)[1]) {
    return __float_as_uint(value[0]);
  }

  static __device__ __forceinline__ void words(const uint2 (&pair)[1], uint32_t& first,
                                               uint32_t& second) {
    first = pair[0].x;
    second = pair[0].y;
  }

  static __device__ __forceinline__ uint32_t round(float value) {
    uint32_t rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(value));
    return rounded;
  }

  static __device__ __forceinline__ void multiply_rounded(float (&sum)[4], const uint32_t (&a)[4],
                                                          const uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }

  template <int kRowTiles, int kColumnTiles>
  static __device__ __forceinline__ void multiply(const uint4 (&a)[kRowTiles],
                                                  const uint32_t (&b)[kColumnTiles][2],
                                                  float (&sum)[kRowTiles][kColumnTiles][4]) {
    uint32_t b_big[kColumnTiles][2], b_small[kColumnTiles][2];
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) split(b[n][j], b_big[n][j], b_small[n][j]);
    }
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      uint32_t a_big[4], a_small[4];
      split(a[m].x, a_big[0], a_small[0]);
      split(a[m].y, a_big[1], a_small[1]);
      split(a[m].z, a_big[2], a_small[2]);
      split(a[m].w, a_big[3], a_small[3]);
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
        float step[4] = {};
        multiply_rounded(step, a_small, b_big[n]);
        multiply_rounded(step, a_big, b_small[n]);
        multiply_rounded(step, a_big, b_big[n]);
#pragma unroll
        for (int e = 0; e < 4; ++e) sum[m][n][e] += step[e];
      }
    }
  }

 private:
  static __device__ __forceinline__ void split(uint32_t bits, uint32_t& big, uint32_t& small) {
    const float value = __uint_as_float(bits);
    big = round(value);
    small = round(value - __uint_as_float(big));
  }
};

struct Tf32Math {
  using Element = float;
  using Pair = uint2;
  static constexpr int kWidth = 1;

  static __device__ __forceinline__ uint32_t word(const float (&value)[1]) {
    return Fp32Math::round(value[0]);
  }

  static __device__ __forceinline__ void words(const uint2 (&pair)[1], uint32_t& first,
                                               uint32_t& second) {
    first = Fp32Math::round(__uint_as_float(pair[0].x));
    second = Fp32Math::round(__uint_as_float(pair[0].y));
  }

  template <int kRowTiles, int kColumnTiles>
  static __device__ __forceinline__ void multiply(const uint4 (&a)[kRowTiles],
                                                  const uint32_t (&b)[kColumnTiles][2],
                                                  float (&sum)[kRowTiles][kColumnTiles][4]) {
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      const uint32_t words[4] = {a[m].x, a[m].y, a[m].z, a[m].w};
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
        Fp32Math::multiply_rounded(sum[m][n], words, b[n]);
      }
    }
  }
};

template <typename T>
struct HalfMath {
  using Element = T;
  using Pair = uint32_t;
  static constexpr int kWidth = 2;

  static __device__ __forceinline__ uint32_t word(const T (&value)[2]) {
    uint16_t halves[2];
    memcpy(halves, value, 4);
    return static_cast<uint32_t>(halves[1]) << 16 | halves[0];
  }

  static __device__ __forceinline__ void words(const uint32_t (&pair)[2], uint32_t& first,
                                               uint32_t& second) {
    first = __byte_perm(pair[0], pair[1], 0x5410);
    second = __byte_perm(pair[0], pair[1], 0x7632);
  }

  template <int kRowTiles, int kColumnTiles>
  static __device__ __forceinline__ void multiply(const uint4 (&a)[kRowTiles],
                                                  const uint32_t (&b)[kColumnTiles][2],
                                                  float (&sum)[kRowTiles][kColumnTiles][4]) {
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
        float(&s)[4] = sum[m][n];
        if constexpr (std::is_same_v<T, __half>) {
          asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
              "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
              : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
              : "r"(a[m].x), "r"(a[m].y), "r"(a[m].z), "r"(a[m].w), "r"(b[n][0]), "r"(b[n][1]));
        } else {
          asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
              "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
              : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
              : "r"(a[m].x), "r"(a[m].y), "r"(a[m].z), "r"(a[m].w), "r"(b[n][0]), "r"(b[n][1]));
        }
      }
    }
  }
};

/// *source, or zero unless `wanted`: a predicated load where the compiler would branch.
__device__ __forceinline__ float load_if(bool wanted, const float* source) {
  float value;
  asm("{ .reg .pred p; setp.ne.s32 p, %2, 0; mov.f32 %0, 0f00000000; @p ld.global.f32 %0, [%1]; }"
      : "=f"(value)
      : "l"(source), "r"(static_cast<int>(wanted)));
  return value;
}
template <typename T>
__device__ __forceinline__ T load_if(bool wanted, const T* source) {
  uint16_t bits;
  asm("{ .reg .pred p; setp.ne.s32 p, %2, 0; mov.u16 %0, 0; @p ld.global.u16 %0, [%1]; }"
      : "=h"(bits)
      : "l"(source), "r"(static_cast<int>(wanted)));
  return __builtin_bit_cast(T, bits);
}

/// *source, two elements at a multiple of their size, or zeros unless `wanted`.
__device__ __forceinline__ uint2 load_pair_if(bool wanted, const float* source) {
  uint2 pair;
  asm("{ .reg .pred p; setp.ne.s32 p, %3, 0; mov.b32 %0, 0; mov.b32 %1, 0; "
      "@p ld.global.v2.b32 {%0, %1}, [%2]; }"
      : "=r"(pair.x), "=r"(pair.y)
      : "l"(source), "r"(static_cast<int>(wanted)));
  return pair;
}
template <typename T>
__device__ __forceinline__ uint32_t load_pair_if(bool wanted, const T* source) {
  uint32_t pair;
  asm("{ .reg .pred p; setp.ne.s32 p, %2, 0; mov.b32 %0, 0; @p ld.global.b32 %0, [%1]; }"
      : "=r"(pair)
      : "l"(source), "r"(static_cast<int>(wanted)));
  return pair;
}

}  // namespace engine::cuda
