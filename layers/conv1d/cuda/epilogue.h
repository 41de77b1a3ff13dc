// What a convolution kernel does with a finished sum, before it stores it.
#pragma once

#include <cstdint>

#include "engine/cuda/half_math.h"
#include "layers/activation/activation_math.h"

namespace engine::cuda {

/// y = f2(f(sum + bias[m]) + residual[i]): the steps that a problem has, on values in f32.
struct Epilogue {
  const float* bias = nullptr;     ///< out_channels values, or null
  const void* residual = nullptr;  ///< shaped and stored as y, or null
  Activation activation;           ///< f
  Activation residual_activation;  ///< f2

  /// Whether a sum with its bias is the result.
  ENGINE_HOST_DEVICE bool only_bias() const {
    return residual == nullptr && activation.kind == Activation::Kind::kIdentity;
  }
};

#if defined(__CUDACC__) || defined(ENGINE_EMULATED)

/// Out of line, since it would be inlined once for every output of a thread.
[[maybe_unused]] static __device__ __noinline__ float activate(float value,
                                                               const Activation& activation) {
  return apply_activation(value, activation);
}

/// The result for a sum that has its bias already; `index` is that of the output in y.
template <typename T>
__device__ __forceinline__ float finish(float value, int64_t index, const Epilogue& epilogue) {
  if (epilogue.activation.kind != Activation::Kind::kIdentity) {
    value = activate(value, epilogue.activation);
  }
  if (epilogue.residual != nullptr) {
    value += to_float(static_cast<const T*>(epilogue.residual)[index]);
    if (epilogue.residual_activation.kind != Activation::Kind::kIdentity) {
      value = activate(value, epilogue.residual_activation);
    }
  }
  return value;
}

#endif

}  // namespace engine::cuda
