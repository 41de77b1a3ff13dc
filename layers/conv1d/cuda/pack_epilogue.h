// The epilogue on a whole pack of neighbouring outputs.
#pragma once

#include <cstdint>

#include "engine/cuda/pack.h"
#include "layers/conv1d/cuda/epilogue.h"

namespace engine::cuda {

/// Values that a function takes and returns in registers.
template <int kCount>
struct Values {
  float values[kCount];
};

/// The function of every value. Out of line, with one choice of the function for all.
template <int kCount>
__device__ __noinline__ Values<kCount> activate_values(Values<kCount> x,
                                                       const Activation& activation) {
  with_activation_math(activation.kind, [&](auto math) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) x.values[j] = math.apply(x.values[j], activation);
  });
  return x;
}

/// Applies the function to all values.
template <int kCount>
__device__ __forceinline__ void activate_all(const Activation& activation,
                                             float (&values)[kCount]) {
  if (activation.kind == Activation::Kind::kIdentity) return;
  Values<kCount> all;
#pragma unroll
  for (int j = 0; j < kCount; ++j) all.values[j] = values[j];
  all = activate_values(all, activation);
#pragma unroll
  for (int j = 0; j < kCount; ++j) values[j] = all.values[j];
}

/// Finishes the pack of y that begins at element `first` and is aligned, and stores its elements of
/// `range`. `values` have their bias. `residual_aligned`: the residual's packs are aligned where
/// y's are.
template <typename T>
__device__ __forceinline__ void finish_pack(float (&values)[kPackWidth<T>], int64_t first,
                                            PackRange range, const Epilogue& epilogue,
                                            bool residual_aligned, T* y) {
  constexpr int kWidth = kPackWidth<T>;
  activate_all(epilogue.activation, values);
  if (epilogue.residual != nullptr) {
    float added[kWidth] = {};
    load_pack(static_cast<const T*>(epilogue.residual) + first, range, residual_aligned, added);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) values[j] += added[j];
    activate_all(epilogue.residual_activation, values);
  }
  store_pack(y + first, range, true, values);
}

}  // namespace engine::cuda
