#include "layers/pool/neighbour_windows.h"

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/pool/neighbour_windows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/reduce/max_or_nan-inl.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

struct Average {
  template <class D, class V>
  static HWY_INLINE V add(D, V result, V tap) {
    return hn::Add(result, tap);
  }
  template <class D, class V>
  static HWY_INLINE V finish(D d, V result, int size) {
    return hn::Div(result, hn::Set(d, static_cast<float>(size)));
  }
};

struct Maximum {
  template <class D, class V>
  static HWY_INLINE V add(D, V result, V tap) {
    return max_or_nan(result, tap);
  }
  template <class D, class V>
  static HWY_INLINE V finish(D, V result, int) {
    return result;
  }
};

// What Op makes of as many windows as D has lanes. Neighbours are joined before their results are
// sorted by windows, which takes fewer permutations than to sort all of them.
template <class Op, int size, class D>
HWY_INLINE hn::Vec<D> joined(D d, const float* x) {
  using V = hn::Vec<D>;
  if constexpr (size == 1 || hn::MaxLanes(D()) == 1) {
    V result = hn::LoadU(d, x);
    for (int t = 1; t < size; ++t) result = Op::add(d, result, hn::LoadU(d, x + t));
    return result;
  } else if constexpr (size == 3) {
    V first, second, third;
    hn::LoadInterleaved3(d, x, first, second, third);
    return Op::add(d, Op::add(d, first, second), third);
#if HWY_TARGET != HWY_SCALAR
  } else {
    const V low = joined<Op, size / 2>(d, x);
    const V high = joined<Op, size / 2>(d, x + size / 2 * hn::MaxLanes(D()));
    return Op::add(d, hn::ConcatEven(d, high, low), hn::ConcatOdd(d, high, low));
#endif
  }
}

template <class Op, int size, class D>
HWY_INLINE void pool_vector(D d, const float* x, float* y) {
  hn::StoreU(Op::finish(d, joined<Op, size>(d, x), size), d, y);
}

// All windows by vectors of D, the last of which may repeat some; false where there are too few.
template <class Op, int size, class D>
HWY_INLINE bool pool_vectors(D d, const float* x, float* y, int64_t count) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  if (count < kLanes) return false;
  for (int64_t o = 0; o + kLanes <= count; o += kLanes) {
    pool_vector<Op, size>(d, x + o * size, y + o);
  }
  const int64_t last = count - kLanes;
  if (count % kLanes != 0) pool_vector<Op, size>(d, x + last * size, y + last);
  return true;
}

template <class Op, int size>
void pool(const float* x, float* y, int64_t count) {
  if (pool_vectors<Op, size>(hn::CappedTag<float, 16>(), x, y, count)) return;
  if (pool_vectors<Op, size>(hn::CappedTag<float, 4>(), x, y, count)) return;
  pool_vectors<Op, size>(hn::CappedTag<float, 1>(), x, y, count);
}

template <class Op>
NeighbourLoop loop_of(int64_t size) {
  return size == 2 ? pool<Op, 2> : (size == 3 ? pool<Op, 3> : pool<Op, 4>);
}

NeighbourLoop loop(int64_t size, bool average) {
  return average ? loop_of<Average>(size) : loop_of<Maximum>(size);
}

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(loop);

NeighbourLoop neighbour_loop(int64_t size, bool average) {
  return HWY_DYNAMIC_DISPATCH(loop)(size, average);
}

}  // namespace engine::cpu
#endif
