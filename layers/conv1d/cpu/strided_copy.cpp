#include "layers/conv1d/cpu/strided_copy.h"

#include <array>
#include <cstring>

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/strided_copy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/conv1d/cpu/transpose_quads-inl.h"

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

#if HWY_TARGET != HWY_SCALAR
// Four consecutive values of every fourth column: quads, `quad_stride` floats apart.
template <class DV>
HWY_INLINE hn::Vec<DV> load_quads(DV d, const float* source, int64_t quad_stride) {
  constexpr int64_t kQuads = hn::MaxLanes(DV()) / 4;
  if constexpr (kQuads == 1) {
    return hn::LoadU(d, source);
  } else {
    const hn::Half<DV> half;
    const float* upper = source + kQuads / 2 * quad_stride;
    return hn::Combine(d, load_quads(half, upper, quad_stride),
                       load_quads(half, source, quad_stride));
  }
}

// rows[r] = remainders r of a vector of columns, by transposing 4 x 4 values in each quad.
HWY_INLINE void load_remainders(const float* source, int64_t stride, V (&rows)[4]) {
  const D d;
  V columns[4];
  HWY_UNROLL(4)
  for (int i = 0; i < 4; ++i) columns[i] = load_quads(d, source + i * stride, 4 * stride);
  transpose_quads(d, columns, rows);
}

HWY_INLINE void store_remainder(V values, float* row, int64_t place) {
  if (place >= 0) hn::StoreU(values, D(), row + place);
}

// A vector of columns from `source` on, to `row`.
template <int kStride>
HWY_INLINE void deinterleave_vector(const float* source, int64_t stride, int64_t width, float* row,
                                    const int32_t* places) {
  const D d;
  V rows[4];
  if constexpr (kStride == 2) {
    hn::LoadInterleaved2(d, source, rows[0], rows[1]);
    for (int r = 0; r < 2; ++r) store_remainder(rows[r], row, places[r]);
  } else if constexpr (kStride == 3) {
    hn::LoadInterleaved3(d, source, rows[0], rows[1], rows[2]);
    for (int r = 0; r < 3; ++r) store_remainder(rows[r], row, places[r]);
  } else {
    for (int64_t done = 0; done < width; done += 4) {
      const int64_t first =
          HWY_MIN(done, width - 4);  // the last four may have been among those before
      load_remainders(source + first, stride, rows);
      HWY_UNROLL(4)
      for (int r = 0; r < 4; ++r) store_remainder(rows[r], row, places[first + r]);
    }
  }
}
#endif

// The last vector of columns may have some of the one before.
template <int kStride>
void deinterleave_columns(const float* source, int64_t stride, int64_t width, int64_t count,
                          float* row, const int32_t* places) {
#if HWY_TARGET != HWY_SCALAR
  if (count >= kLanes) {
    for (int64_t i = 0; i < count; i += kLanes) {
      const int64_t first = HWY_MIN(i, count - kLanes);
      deinterleave_vector<kStride>(source + first * stride, stride, width, row + first, places);
    }
    return;
  }
#endif
  for (int64_t r = 0; r < width; ++r) {
    if (places[r] < 0) continue;
    for (int64_t i = 0; i < count; ++i) row[places[r] + i] = source[i * stride + r];
  }
}

void take_apart(const float* source, int64_t stride, int64_t width, int64_t count, float* row,
                const int32_t* places) {
  switch (stride) {
    case 2:
      return deinterleave_columns<2>(source, 2, width, count, row, places);
    case 3:
      return deinterleave_columns<3>(source, 3, width, count, row, places);
    default:
      return deinterleave_columns<4>(source, stride, width, count, row, places);
  }
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
HWY_EXPORT(take_apart);

void strided_copy(const float* source, int64_t stride, int64_t count, float* target) {
  if (stride == 1) {
    std::memcpy(target, source, static_cast<size_t>(count) * sizeof(float));
  } else {
    HWY_DYNAMIC_DISPATCH(copy)(source, stride, count, target);
  }
}

void deinterleave(const float* source, int64_t stride, int64_t width, int64_t count, float* row,
                  const int32_t* places) {
  HWY_DYNAMIC_DISPATCH(take_apart)(source, stride, width, count, row, places);
}

}  // namespace engine::cpu
#endif
