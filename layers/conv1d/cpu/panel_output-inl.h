// PanelOutput for sums in vectors, compiled once for each instruction set.
#if defined(CONV1D_PANEL_OUTPUT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CONV1D_PANEL_OUTPUT_INL_H
#undef CONV1D_PANEL_OUTPUT_INL_H
#else
#define CONV1D_PANEL_OUTPUT_INL_H
#endif

#include <hwy/highway.h>

#include "layers/conv1d/cpu/panel_output.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Loops over the vectors of a block are unrolled, else the compiler keeps them in memory.
#define CONV1D_EACH_VECTOR(r, v) \
  HWY_UNROLL(8) for (int r = 0; r < rows; ++r) HWY_UNROLL(12) for (int v = 0; v < count; ++v)

template <int rows, int count, class D, class V>
HWY_INLINE void activate(D d, const Activation& activation, V (*x)[count]) {
  const V zero = hn::Zero(d);
  if (activation.kind == Activation::Kind::kReLU) {
    CONV1D_EACH_VECTOR(r, v) x[r][v] = hn::IfThenZeroElse(hn::Lt(x[r][v], zero), x[r][v]);
  } else if (activation.kind == Activation::Kind::kLeakyReLU) {
    const V slope = hn::Set(d, activation.parameter);
    CONV1D_EACH_VECTOR(r, v) {
      x[r][v] = hn::IfThenElse(hn::Lt(x[r][v], zero), hn::Mul(x[r][v], slope), x[r][v]);
    }
  }
}

/// What lanes of consecutive vectors are columns: all of them.
template <class D>
struct WholeVectors {
  HWY_INLINE hn::Vec<D> load(D d, const float* from, int) const { return hn::LoadU(d, from); }
  HWY_INLINE void store(D d, hn::Vec<D> x, float* to, int) const { hn::StoreU(x, d, to); }
};

/// The first `columns`, at least none. Memory beyond them is not touched on CPUs whose stores have
/// masks.
template <class D>
struct FirstColumns {
  int64_t columns;

  HWY_INLINE hn::Mask<D> mask(D d, int v) const {
    constexpr int64_t kLanes = hn::MaxLanes(D());
    const int64_t left = HWY_MIN(HWY_MAX(columns - v * kLanes, int64_t{0}), kLanes);
    return hn::FirstN(d, static_cast<size_t>(left));
  }
  HWY_INLINE hn::Vec<D> load(D d, const float* from, int v) const {
    return hn::MaskedLoad(mask(d, v), d, from);
  }
  HWY_INLINE void store(D d, hn::Vec<D> x, float* to, int v) const {
    hn::BlendedStore(x, mask(d, v), d, to);
  }
};

/// Adds what `from` holds where the sums of `rows` rows of `count` consecutive vectors belong.
template <int rows, int count, class D, class V, class Lanes>
HWY_INLINE void add_vectors(D d, const float* from, int64_t row_stride, V (*sums)[count],
                            const Lanes& lanes) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  CONV1D_EACH_VECTOR(r, v) {
    sums[r][v] = hn::Add(sums[r][v], lanes.load(d, from + r * row_stride + v * kLanes, v));
  }
}

/// Makes of the sums of `rows` rows of `count` consecutive vectors what y is there;
/// stores_vectors() holds.
template <int rows, int count, class D, class V, class Lanes = WholeVectors<D>>
HWY_INLINE void finish_vectors(D d, const PanelOutput& output, int64_t row, int64_t column,
                               V (*sums)[count], const Lanes& lanes = {}) {
  const int64_t start = row * output.row_stride + column;
  if (!output.first) {
    add_vectors<rows>(d, output.y + start, output.row_stride, sums, lanes);
  } else if (output.bias) {
    CONV1D_EACH_VECTOR(r, v) { sums[r][v] = hn::Add(sums[r][v], hn::Set(d, output.bias[row + r])); }
  }
  if (!output.last) return;
  activate<rows>(d, output.activation, sums);
  if (output.residual == nullptr) return;
  add_vectors<rows>(d, output.residual + start, output.row_stride, sums, lanes);
  activate<rows>(d, output.residual_activation, sums);
}

/// Stores the same.
template <int rows, int count, class D, class V, class Lanes = WholeVectors<D>>
HWY_INLINE void store_vectors(D d, const PanelOutput& output, int64_t row, int64_t column,
                              V (*sums)[count], const Lanes& lanes = {}) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  finish_vectors<rows>(d, output, row, column, sums, lanes);
  float* y = output.y + row * output.row_stride + column;
  CONV1D_EACH_VECTOR(r, v) lanes.store(d, sums[r][v], y + r * output.row_stride + v * kLanes, v);
}

/// Stores of the sums of `rows` rows of `count` consecutive vectors those of the first `columns`
/// columns: as vectors where `whole_vectors`, which stores_vectors() gives, and they are all of
/// them or the CPU's stores have masks.
template <int rows, int count, class D, class V>
HWY_INLINE void store_sums(D d, const PanelOutput& output, bool whole_vectors, int64_t row,
                           int64_t column, int64_t columns, V (*sums)[count]) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  if (whole_vectors && columns == count * kLanes) {
    return store_vectors<rows>(d, output, row, column, sums);
  }
#if HWY_TARGET <= HWY_AVX3
  if (whole_vectors) {
    return store_vectors<rows>(d, output, row, column, sums, FirstColumns<D>{columns});
  }
#endif
  HWY_ALIGN float values[rows][count * kLanes];
  CONV1D_EACH_VECTOR(r, v) hn::Store(sums[r][v], d, values[r] + v * kLanes);
  for (int r = 0; r < rows; ++r) store_values(output, values[r], row + r, column, columns);
}

#undef CONV1D_EACH_VECTOR

}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
