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
  static HWY_INLINE V add(V a, V b) { return hn::Add(a, b); }
  static HWY_INLINE float add(float a, float b) { return a + b; }
};

struct Largest {
  static HWY_INLINE V add(V a, V b) { return max_or_nan(a, b); }
  static HWY_INLINE float add(float a, float b) { return engine::max_or_nan(a, b); }
};

// What the lanes of several chains come to.
template <class Op>
float join(V (&chains)[kChains]) {
  HWY_ALIGN float lanes[kLanes];
  hn::Store(Op::add(Op::add(chains[0], chains[1]), Op::add(chains[2], chains[3])), D(), lanes);
  float result = lanes[0];
  for (int64_t i = 1; i < kLanes; ++i) result = Op::add(result, lanes[i]);
  return result;
}

template <class Op>
float fold(const float* x, int64_t count) {
  constexpr int64_t kStep = kChains * kLanes;
  float result = x[0];
  int64_t i = 1;
  if (count >= kStep) {
    V chains[kChains];
    for (int c = 0; c < kChains; ++c) chains[c] = hn::LoadU(D(), x + c * kLanes);
    for (i = kStep; i + kStep <= count; i += kStep) {
      HWY_UNROLL(4)
      for (int c = 0; c < kChains; ++c) {
        chains[c] = Op::add(chains[c], hn::LoadU(D(), x + i + c * kLanes));
      }
    }
    for (; i + kLanes <= count; i += kLanes) {
      chains[0] = Op::add(chains[0], hn::LoadU(D(), x + i));
    }
    result = join<Op>(chains);
  }
  for (; i < count; ++i) result = Op::add(result, x[i]);
  return result;
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
