// The epilogue on a whole pack of neighbouring outputs.
#pragma once

#include <cstdint>
#include <type_traits>

#include "engine/cuda/pack.h"
#include "layers/conv1d/cuda/epilogue.h"

namespace engine::cuda {

/// The values of a pack, which a function takes and returns in registers.
template <typename T>
struct PackValues {
  float values[kPackWidth<T>];
};

/// One value's function. Results that are rounded to 16 bits have no use for an exact quotient.
template <typename T, typename Math>
__device__ __forceinline__ float activate_one(Math math, float x, const Activation& activation) {
  using Kind = Activation::Kind;
  if constexpr (sizeof(T) == 2 && std::is_same_v<Math, ActivationMath<Kind::kSiLU>>) {
    return __fdividef(x, 1.0f + __expf(-x));
  } else if constexpr (sizeof(T) == 2 && std::is_same_v<Math, ActivationMath<Kind::kSigmoid>>) {
    return __fdividef(1.0f, 1.0f + __expf(-x));
  } else {
    return math.apply(x, activation);
  }
}

/// The function of every value. Out of line, with one choice of the function for all.
template <typename T>
__device__ __noinline__ PackValues<T> activate_pack(PackValues<T> x, const Activation& activation) {
  with_activation_math(activation.kind, [&](auto math) {
#pragma unroll
    for (int j = 0; j < kPackWidth<T>; ++j) {
      x.values[j] = activate_one<T>(math, x.values[j], activation);
    }
  });
  return x;
}

/// Applies the function to all values of a pack of T.
template <typename T>
__device__ __forceinline__ void activate_all(const Activation& activation,
                                             float (&values)[kPackWidth<T>]) {
  if (activation.kind == Activation::Kind::kIdentity) return;
  PackValues<T> pack;
#pragma unroll
  for (int j = 0; j < kPackWidth<T>; ++j) pack.values[j] = values[j];
  pack = activate_pack<T>(pack, activation);
#pragma unroll
  for (int j = 0; j < kPackWidth<T>; ++j) values[j] = pack.values[j];
}

/// Finishes the pack of y that begins at element `first` and is aligned, and stores its elements of
/// `range`. `values` have their bias. `residual_aligned`: the residual's packs are aligned where
/// y's are.
template <typename T>
__device__ __forceinline__ void finish_pack(float (&values)[kPackWidth<T>], int64_t first,
                                            PackRange range, const Epilogue& epilogue,
                                            bool residual_aligned, T* y) {
  constexpr int kWidth = kPackWidth<T>;
  activate_all<T>(epilogue.activation, values);
  if (epilogue.residual != nullptr) {
    float added[kWidth] = {};
    load_pack(static_cast<const T*>(epilogue.residual) + first, range, residual_aligned, added);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) values[j] += added[j];
    activate_all<T>(epilogue.residual_activation, values);
  }
  store_pack(y + first, range, true, values);
}

}  // namespace engine::cuda
