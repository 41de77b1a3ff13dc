#include "layers/conv1d/cpu/strided_copy.h"

#include <array>
#include <cstring>

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/strided_copy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int64_t kLanes = hn::MaxLanes(D());

#if HWY_TARGET != HWY_SCALAR
// Where in its vector every kStride-th value lies.
template <int kStride>
constexpr std::array<int32_t, kLanes> places() {
  std::array<int32_t, kLanes> places{};
  for (int64_t i = 0; i < kLanes; ++i) places[i] = static_cast<int32_t>(i * kStride % kLanes);
  return places;
}

// Every kStride-th value of kStride vectors. An even number of them in halves; of an odd number all
// are looked up in the same places, and each vector gives the lanes that the one before has not.
template <int kStride>
HWY_INLINE V load(const float* source) {
  const D d;
  if constexpr (kStride == 1) {
    return hn::LoadU(d, source);
  } else if constexpr (kStride == 3) {
    V first, second, third;
    hn::LoadInterleaved3(d, source, first, second, third);
    return first;
  } else if constexpr (kStride % 2 == 0) {
    constexpr int kHalf = kStride / 2;
    return hn::ConcatEven(d, load<kHalf>(source + kHalf * kLanes), load<kHalf>(source));
  } else {
    static constexpr std::array<int32_t, kLanes> kPlaces = places<kStride>();
    const auto table = hn::SetTableIndices(d, kPlaces.data());
    V values = hn::TableLookupLanes(hn::LoadU(d, source), table);
    HWY_UNROLL(8)
    for (int v = 1; v < kStride; ++v) {
      const auto first = static_cast<float>((v * kLanes + kStride - 1) / kStride);
      const V found = hn::TableLookupLanes(hn::LoadU(d, source + v * kLanes), table);
      values = hn::IfThenElse(hn::Ge(hn::Iota(d, 0.0f), hn::Set(d, first)), found, values);
    }
    return values;
  }
}
#endif

template <int kStride>
void copy_strided(const float* source, int64_t count, float* target) {
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  // The last vector would be loaded with values behind the last one.
  for (; i + kLanes < count; i += kLanes) {
    hn::StoreU(load<kStride>(source + i * kStride), D(), target + i);
  }
#endif
  for (; i < count; ++i) target[i] = source[i * kStride];
}

// Four values at once: a loop over single ones takes a branch for each.
void copy_far_values(const float* source, int64_t stride, int64_t count, float* target) {
  int64_t i = 0;
  for (; i + 4 <= count; i += 4, source += 4 * stride) {
    const float values[4] = {source[0], source[stride], source[2 * stride], source[3 * stride]};
    std::memcpy(target + i, values, sizeof values);
  }
  for (; i < count; ++i, source += stride) target[i] = *source;
}

void copy(const float* source, int64_t stride, int64_t count, float* target) {
  switch (stride) {
    case 2:
      return copy_strided<2>(source, count, target);
    case 3:
      return copy_strided<3>(source, count, target);
    case 4:
      return copy_strided<4>(source, count, target);
    case 5:
      return copy_strided<5>(source, count, target);
    case 6:
      return copy_strided<6>(source, count, target);
    case 7:
      return copy_strided<7>(source, count, target);
    case 8:
      return copy_strided<8>(source, count, target);
    default:
      return copy_far_values(source, stride, count, target);
  }
}

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(copy);

void strided_copy(const float* source, int64_t stride, int64_t count, float* target) {
  if (stride == 1) {
    std::memcpy(target, source, static_cast<size_t>(count) * sizeof(float));
  } else {
    HWY_DYNAMIC_DISPATCH(copy)(source, stride, count, target);
  }
}

}  // namespace engine::cpu
#endif
