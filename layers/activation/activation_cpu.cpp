#include "layers/activation/activation_cpu.h"

#include "engine/cpu/elementwise_step.h"
#include "engine/cpu/highway_targets.h"
#include "layers/activation/activation_math.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/activation/activation_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// Highway's own, behind it.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Kind = Activation::Kind;
using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int64_t kLanes = hn::MaxLanes(D());

HWY_INLINE V set(float value) { return hn::Set(D(), value); }

// e^x, infinite where that is beyond f32; anything for NaN.
HWY_INLINE V exp_of(V x) { return hn::Exp(D(), hn::Min(x, set(104.0f))); }

// x / (1 + e^-s): x sigmoid(s).
HWY_INLINE V gated(V x, V s) { return hn::Div(x, hn::Add(set(1.0f), exp_of(hn::Neg(s)))); }

// The part of a normal distribution above z >= 0: e^(-z^2 / 2) w P(w) with w = 3 / (3 + z), where P
// is fitted to a relative error of 5e-8.
HWY_INLINE V upper_tail(V z) {
  constexpr float kP[] = {0.132954881f, 0.133575127f,  0.112417951f, 0.119916290f,  -0.0533718243f,
                          0.218955159f, -0.271278381f, 0.129594877f, -0.0227640290f};
  const V w = hn::Div(set(3.0f), hn::Add(set(3.0f), z));
  V p = set(kP[8]);
  for (int i = 7; i >= 0; --i) p = hn::MulAdd(p, w, set(kP[i]));
  return hn::Mul(hn::Mul(w, p), exp_of(hn::Mul(set(-0.5f), hn::Mul(z, z))));
}

// x Phi(x), from the tail on the side of x, so that nothing cancels.
HWY_INLINE V gelu(V x) {
  const V z = hn::Min(hn::Abs(x), set(40.0f));  // beyond, the tail is 0
  const V tail = upper_tail(z);
  return hn::IfThenElse(hn::Lt(x, hn::Zero(D())), hn::Mul(x, tail), hn::Sub(x, hn::Mul(z, tail)));
}

template <Kind kind>
HWY_INLINE V function(const Activation& a, V x) {
  const D d;
  const V zero = hn::Zero(d);
  if constexpr (kind == Kind::kReLU) {
    return hn::IfThenZeroElse(hn::Lt(x, zero), x);
  } else if constexpr (kind == Kind::kLeakyReLU) {
    return hn::IfThenElse(hn::Lt(x, zero), hn::Mul(x, set(a.parameter)), x);
  } else if constexpr (kind == Kind::kELU) {
    const V below = hn::Mul(set(a.parameter), hn::Expm1(d, hn::Min(x, zero)));
    return hn::IfThenElse(hn::Gt(x, zero), x, below);
  } else if constexpr (kind == Kind::kGELU) {
    return gelu(x);
  } else if constexpr (kind == Kind::kGELUTanh) {
    // (1 + tanh(u)) / 2 = sigmoid(2 u)
    const V square = hn::Mul(x, x);
    const V slope =
        hn::MulAdd(set(2.0f * 0.79788456f * 0.044715f), square, set(2.0f * 0.79788456f));
    return gated(x, hn::Mul(x, slope));
  } else if constexpr (kind == Kind::kSiLU) {
    return gated(x, x);
  } else if constexpr (kind == Kind::kSigmoid) {
    return gated(set(1.0f), x);
  } else if constexpr (kind == Kind::kTanh) {
    return hn::Tanh(d, x);
  } else if constexpr (kind == Kind::kSoftplus) {
    // log(1 + e^s) = max(s, 0) + log(1 + e^-|s|)
    const V scaled = hn::Mul(x, set(a.parameter));
    const V soft = hn::Add(hn::Max(scaled, zero), hn::Log1p(d, exp_of(hn::Neg(hn::Abs(scaled)))));
    return hn::IfThenElse(hn::Gt(scaled, set(a.threshold)), x, hn::Div(soft, set(a.parameter)));
  } else {
    return x;
  }
}

template <Kind kind>
HWY_INLINE V function_or_nan(const Activation& a, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, function<kind>(a, x));
}

template <Kind kind>
void loop(const Activation& activation, const float* x, float* y, int64_t count) {
  const D d;
  const Activation a = activation;  // y may not change it
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(function_or_nan<kind>(a, hn::LoadU(d, x + i)), d, y + i);
  }
  if (i == count) return;
  HWY_ALIGN float rest[kLanes] = {};
  for (int64_t j = i; j < count; ++j) rest[j - i] = x[j];
  hn::Store(function_or_nan<kind>(a, hn::Load(d, rest)), d, rest);
  for (int64_t j = i; j < count; ++j) y[j] = rest[j - i];
}

void activate_all(const Activation& a, const float* x, float* y, int64_t count) {
  with_activation_math(a.kind,
                       [&]<Kind kind>(ActivationMath<kind>) { loop<kind>(a, x, y, count); });
}

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(activate_all);

double activation_seconds(const Activation& activation) {
  switch (activation.kind) {
    case Activation::Kind::kIdentity:
    case Activation::Kind::kReLU:
    case Activation::Kind::kLeakyReLU:
      return kElementSeconds;
    case Activation::Kind::kSoftplus:
      return 2.5e-9;
    default:
      return 1.2e-9;
  }
}

void activate(const Activation& activation, const float* x, float* y, int64_t count) {
  if (activation.kind == Activation::Kind::kIdentity && x == y) return;
  HWY_DYNAMIC_DISPATCH(activate_all)(activation, x, y, count);
}

}  // namespace engine::cpu
#endif
