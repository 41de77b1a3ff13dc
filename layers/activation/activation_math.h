// The formulas of engine::Activation, for CPU loops, GPU kernels and epilogues of other layers.
#pragma once

#include <cmath>

#include "engine/activation.h"
#include "engine/cuda/host_device.h"

namespace engine {

/// The function as a type, so that loops over elements hold no switch: ActivationMath<Kind>::apply.
template <Activation::Kind kKind>
struct ActivationMath {
  static ENGINE_HOST_DEVICE float apply(float x, const Activation& a) {
    using Kind = Activation::Kind;
    if constexpr (kKind == Kind::kReLU) {
      return x < 0.0f ? 0.0f : x;  // written so that NaN stays NaN
    } else if constexpr (kKind == Kind::kLeakyReLU) {
      return x < 0.0f ? x * a.parameter : x;
    } else if constexpr (kKind == Kind::kELU) {
      return x > 0.0f ? x : a.parameter * expm1f(x);
    } else if constexpr (kKind == Kind::kGELU) {
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    } else if constexpr (kKind == Kind::kGELUTanh) {
      const float inner = 0.79788456080286536f * (x + 0.044715f * x * x * x);
      return 0.5f * x * (1.0f + tanhf(inner));
    } else if constexpr (kKind == Kind::kSiLU) {
      return x / (1.0f + expf(-x));
    } else if constexpr (kKind == Kind::kSigmoid) {
      return 1.0f / (1.0f + expf(-x));
    } else if constexpr (kKind == Kind::kTanh) {
      return tanhf(x);
    } else if constexpr (kKind == Kind::kSoftplus) {
      const float scaled = x * a.parameter;
      return scaled > a.threshold ? x : log1pf(expf(scaled)) / a.parameter;
    } else {
      return x;
    }
  }
};

/// Calls `body` with ActivationMath<kind>{} for a kind known at run time. Kernels and host code pass
/// bodies of their own side, which nvcc need not compile for the other.
#ifdef __CUDACC__
#pragma nv_exec_check_disable
#endif
template <typename Body>
ENGINE_HOST_DEVICE void with_activation_math(Activation::Kind kind, Body&& body) {
  using Kind = Activation::Kind;
  switch (kind) {
    case Kind::kIdentity:
      return body(ActivationMath<Kind::kIdentity>{});
    case Kind::kReLU:
      return body(ActivationMath<Kind::kReLU>{});
    case Kind::kLeakyReLU:
      return body(ActivationMath<Kind::kLeakyReLU>{});
    case Kind::kELU:
      return body(ActivationMath<Kind::kELU>{});
    case Kind::kGELU:
      return body(ActivationMath<Kind::kGELU>{});
    case Kind::kGELUTanh:
      return body(ActivationMath<Kind::kGELUTanh>{});
    case Kind::kSiLU:
      return body(ActivationMath<Kind::kSiLU>{});
    case Kind::kSigmoid:
      return body(ActivationMath<Kind::kSigmoid>{});
    case Kind::kTanh:
      return body(ActivationMath<Kind::kTanh>{});
    case Kind::kSoftplus:
      return body(ActivationMath<Kind::kSoftplus>{});
  }
}

/// The function by run-time kind, for epilogues: the branch is the same for every thread.
ENGINE_HOST_DEVICE float apply_activation(float x, const Activation& a) {
  using Kind = Activation::Kind;
  switch (a.kind) {
    case Kind::kReLU:
      return ActivationMath<Kind::kReLU>::apply(x, a);
    case Kind::kLeakyReLU:
      return ActivationMath<Kind::kLeakyReLU>::apply(x, a);
    case Kind::kELU:
      return ActivationMath<Kind::kELU>::apply(x, a);
    case Kind::kGELU:
      return ActivationMath<Kind::kGELU>::apply(x, a);
    case Kind::kGELUTanh:
      return ActivationMath<Kind::kGELUTanh>::apply(x, a);
    case Kind::kSiLU:
      return ActivationMath<Kind::kSiLU>::apply(x, a);
    case Kind::kSigmoid:
      return ActivationMath<Kind::kSigmoid>::apply(x, a);
    case Kind::kTanh:
      return ActivationMath<Kind::kTanh>::apply(x, a);
    case Kind::kSoftplus:
      return ActivationMath<Kind::kSoftplus>::apply(x, a);
    default:
      return x;
  }
}

}  // namespace engine
