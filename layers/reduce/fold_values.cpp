#include "layers/reduce/fold_values.h"

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/reduce/fold_values.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/reduce/max_or_nan-inl.h"
#include "layers/reduce/statistics.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int64_t kLanes = hn::MaxLanes(D());
constexpr int kChains = 4;  // that do not wait for each other

struct Sum {
  static HWY_INLINE V none(V) { return hn::Zero(D()); }
  static HWY_INLINE float add(float a, float b) { return a + b; }
  template <class W>
  static HWY_INLINE W add(W a, W b) {
    return hn::Add(a, b);
  }
  // The last `left` lanes.
  static HWY_INLINE V last(V x, int64_t left) {
    return hn::IfThenZeroElse(hn::FirstN(D(), static_cast<size_t>(kLanes - left)), x);
  }
};

struct Largest {
  static HWY_INLINE V none(V x) { return x; }
  static HWY_INLINE float add(float a, float b) { return engine::max_or_nan(a, b); }
  template <class W>
  static HWY_INLINE W add(W a, W b) {
    return max_or_nan(a, b);
  }
  static HWY_INLINE V last(V x, int64_t) { return x; }
};

// What the lanes of a vector come to.
template <class Op, class DV>
HWY_INLINE float join(DV, hn::Vec<DV> x) {
  if constexpr (hn::MaxLanes(DV()) == 1) {
    return hn::GetLane(x);
#if HWY_TARGET != HWY_SCALAR
  } else {
    const hn::Half<DV> half;
    return join<Op>(half, Op::add(hn::UpperHalf(half, x), hn::LowerHalf(half, x)));
#endif
  }
}

template <class Op>
float fold(const float* x, int64_t count) {
  constexpr int64_t kStep = kChains * kLanes;
  const D d;
  if (count < kLanes) {
    float result = x[0];
    for (int64_t i = 1; i < count; ++i) result = Op::add(result, x[i]);
    return result;
  }
  V chains[kChains] = {hn::LoadU(d, x)};
  for (int c = 1; c < kChains; ++c) chains[c] = Op::none(chains[0]);
  int64_t i = kLanes;
  for (; i + kStep <= count; i += kStep) {
    HWY_UNROLL(4)
    for (int c = 0; c < kChains; ++c) {
      chains[c] = Op::add(chains[c], hn::LoadU(d, x + i + c * kLanes));
    }
  }
  for (; i + kLanes <= count; i += kLanes) {
    chains[1] = Op::add(chains[1], hn::LoadU(d, x + i));
  }
  if (i < count) {
    const V last = Op::last(hn::LoadU(d, x + count - kLanes), count - i);
    chains[2] = Op::add(chains[2], last);
  }
  return join<Op>(d, Op::add(Op::add(chains[0], chains[1]), Op::add(chains[2], chains[3])));
}

float sum(const float* x, int64_t count) { return fold<Sum>(x, count); }
float maximum(const float* x, int64_t count) { return fold<Largest>(x, count); }

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(sum);
HWY_EXPORT(maximum);

float sum_of_values(const float* x, int64_t count) { return HWY_DYNAMIC_DISPATCH(sum)(x, count); }

float maximum_of_values(const float* x, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(maximum)(x, count);
}

}  // namespace engine::cpu
#endif
