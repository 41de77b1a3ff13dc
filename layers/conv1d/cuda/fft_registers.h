// Discrete Fourier transforms of a few points in a thread's registers.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>
#include <utility>

namespace engine::cuda {

/// exp(-2 pi i * turn) of a turn in [0, 1), for constants of the compiler: by the Taylor series, in
/// double.
struct UnitRoot {
  double cosine = 1.0;
  double sine = 0.0;

  static constexpr UnitRoot of(int index, int points) {
    const double angle = -6.283185307179586476925 * (2 * index > points ? index - points : index) /
                         static_cast<double>(points);
    UnitRoot root{0.0, 0.0};
    double term = 1.0;
    for (int n = 0; n < 40; n += 4) {
      root.cosine += term;
      term *= angle / (n + 1);
      root.sine += term;
      term *= angle / (n + 2);
      root.cosine -= term;
      term *= angle / (n + 3);
      root.sine -= term;
      term *= angle / (n + 4);
    }
    return root;
  }
};

/// Calls `body` with std::integral_constant<int, 0> ... <kCount - 1>.
template <int kCount, typename Body>
__device__ __forceinline__ void for_constants(Body&& body) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) {
    (body(std::integral_constant<int, kIndex>{}), ...);
  }
  (std::make_integer_sequence<int, kCount>{});
}

__device__ __forceinline__ float2 operator+(float2 a, float2 b) { return {a.x + b.x, a.y + b.y}; }
__device__ __forceinline__ float2 operator-(float2 a, float2 b) { return {a.x - b.x, a.y - b.y}; }

/// a * b, or a * conjugate(b).
template <bool kConjugate = false>
__device__ __forceinline__ float2 multiply(float2 a, float2 b) {
  if constexpr (kConjugate) return {a.x * b.x + a.y * b.y, a.y * b.x - a.x * b.y};
  return {a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};
}

/// a * exp(-+2 pi i kIndex / kPoints): minus forward, plus inverse.
template <int kIndex, int kPoints, bool kInverse>
__device__ __forceinline__ float2 rotate(float2 a) {
  constexpr int kTurn = kIndex % kPoints;
  constexpr float kSign = kInverse ? -1.0f : 1.0f;
  if constexpr (kTurn == 0) {
    return a;
  } else if constexpr (4 * kTurn == kPoints) {
    return {kSign * a.y, -kSign * a.x};
  } else if constexpr (2 * kTurn == kPoints) {
    return {-a.x, -a.y};
  } else if constexpr (4 * kTurn == 3 * kPoints) {
    return {-kSign * a.y, kSign * a.x};
  } else if constexpr (8 * kTurn == kPoints) {
    constexpr float kHalf = 0.70710678118654752f;
    return {kHalf * (a.x + kSign * a.y), kHalf * (a.y - kSign * a.x)};
  } else if constexpr (8 * kTurn == 3 * kPoints) {
    constexpr float kHalf = 0.70710678118654752f;
    return {kHalf * (kSign * a.y - a.x), -kHalf * (a.y + kSign * a.x)};
  } else {
    constexpr UnitRoot kRoot = UnitRoot::of(kTurn, kPoints);
    constexpr float kCosine = static_cast<float>(kRoot.cosine);
    constexpr float kSine = kSign * static_cast<float>(kRoot.sine);
    return {a.x * kCosine - a.y * kSine, a.x * kSine + a.y * kCosine};
  }
}

/// v[k] = sum over n of v[n] exp(-+2 pi i n k / kPoints), in natural order on both sides. Inverse
/// without the factor 1 / kPoints.
template <bool kInverse>
__device__ __forceinline__ void dft(float2 (&v)[2]) {
  const float2 sum = v[0] + v[1];
  v[1] = v[0] - v[1];
  v[0] = sum;
}

template <bool kInverse>
__device__ __forceinline__ void dft(float2 (&v)[3]) {
  constexpr float kSine = kInverse ? -0.86602540378443865f : 0.86602540378443865f;
  const float2 sum = v[1] + v[2];
  const float2 difference = v[1] - v[2];
  const float2 middle = {v[0].x - 0.5f * sum.x, v[0].y - 0.5f * sum.y};
  v[0] = v[0] + sum;
  v[1] = {middle.x + kSine * difference.y, middle.y - kSine * difference.x};
  v[2] = {middle.x - kSine * difference.y, middle.y + kSine * difference.x};
}

template <bool kInverse>
__device__ __forceinline__ void dft(float2 (&v)[4]) {
  const float2 even = v[0] + v[2], even_difference = v[0] - v[2];
  const float2 odd = v[1] + v[3];
  const float2 odd_difference = rotate<1, 4, kInverse>(v[1] - v[3]);
  v[0] = even + odd;
  v[1] = even_difference + odd_difference;
  v[2] = even - odd;
  v[3] = even_difference - odd_difference;
}

/// Any number of points that is a power of two, or three times one: kFirst = 3 or 4 (2 for 8)
/// points, a rotation, and what is left.
template <bool kInverse, int kPoints>
__device__ __forceinline__ void dft(float2 (&v)[kPoints]) {
  constexpr int kFirst = kPoints % 3 == 0 ? 3 : (kPoints == 8 ? 2 : 4);
  constexpr int kRest = kPoints / kFirst;
  static_assert(kFirst * kRest == kPoints && kRest > 1);
  float2 turned[kFirst][kRest];
  for_constants<kRest>([&](auto n) {
    constexpr int kN = decltype(n)::value;
    float2 part[kFirst];
    for_constants<kFirst>([&](auto i) {
      constexpr int kI = decltype(i)::value;
      part[kI] = v[kI * kRest + kN];
    });
    dft<kInverse>(part);
    for_constants<kFirst>([&](auto k) {
      constexpr int kK = decltype(k)::value;
      turned[kK][kN] = rotate<kN * kK, kPoints, kInverse>(part[kK]);
    });
  });
#pragma unroll
  for (int k = 0; k < kFirst; ++k) {
    dft<kInverse>(turned[k]);
#pragma unroll
    for (int i = 0; i < kRest; ++i) v[k + kFirst * i] = turned[k][i];
  }
}

}  // namespace engine::cuda
