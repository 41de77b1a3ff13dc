// The larger of two vectors' values, compiled once for each instruction set.
#if defined(CONV1D_MAX_OR_NAN_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CONV1D_MAX_OR_NAN_INL_H
#undef CONV1D_MAX_OR_NAN_INL_H
#else
#define CONV1D_MAX_OR_NAN_INL_H
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// NaN where either is.
template <class V>
HWY_INLINE V max_or_nan(V a, V b) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  return hn::IfThenElse(hn::IsNaN(a), a, hn::Max(a, b));  // which is b where one is NaN
#else
  return hn::IfThenElse(hn::Or(hn::Gt(a, b), hn::IsNaN(a)), a, b);
#endif
}

}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
