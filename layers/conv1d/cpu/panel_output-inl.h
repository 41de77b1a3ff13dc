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

/// Adds what `from` holds where the sums of `rows` rows of `count` consecutive vectors belong.
template <int rows, int count, class D, class V>
HWY_INLINE void add_vectors(D d, const float* from, int64_t row_stride, V (*sums)[count]) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  CONV1D_EACH_VECTOR(r, v) {
    sums[r][v] = hn::Add(sums[r][v], hn::LoadU(d, from + r * row_stride + v * kLanes));
  }
}

/// Makes of the sums of `rows` rows of `count` consecutive vectors what y is there;
/// stores_vectors() holds.
template <int rows, int count, class D, class V>
HWY_INLINE void finish_vectors(D d, const PanelOutput& output, int64_t row, int64_t column,
                               V (*sums)[count]) {
  const int64_t start = row * output.row_stride + column;
  if (!output.first) {
    add_vectors<rows>(d, output.y + start, output.row_stride, sums);
  } else if (output.bias) {
    CONV1D_EACH_VECTOR(r, v) { sums[r][v] = hn::Add(sums[r][v], hn::Set(d, output.bias[row + r])); }
  }
  if (!output.last) return;
  activate<rows>(d, output.activation, sums);
  if (output.residual == nullptr) return;
  add_vectors<rows>(d, output.residual + start, output.row_stride, sums);
  activate<rows>(d, output.residual_activation, sums);
}

/// Stores the same.
template <int rows, int count, class D, class V>
HWY_INLINE void store_vectors(D d, const PanelOutput& output, int64_t row, int64_t column,
                              V (*sums)[count]) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  finish_vectors<rows>(d, output, row, column, sums);
  float* y = output.y + row * output.row_stride + column;
  CONV1D_EACH_VECTOR(r, v) hn::StoreU(sums[r][v], d, y + r * output.row_stride + v * kLanes);
}

/// Stores of the sums of `rows` rows of `count` consecutive vectors those of the first `columns`
/// columns: as vectors where that is all of them and `whole_vectors`, which stores_vectors() gives.
template <int rows, int count, class D, class V>
HWY_INLINE void store_sums(D d, const PanelOutput& output, bool whole_vectors, int64_t row,
                           int64_t column, int64_t columns, V (*sums)[count]) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  if (whole_vectors && columns == count * kLanes) {
    return store_vectors<rows>(d, output, row, column, sums);
  }
  HWY_ALIGN float values[rows][count * kLanes];
  CONV1D_EACH_VECTOR(r, v) hn::Store(sums[r][v], d, values[r] + v * kLanes);
  for (int r = 0; r < rows; ++r) store_values(output, values[r], row + r, column, columns);
}

#undef CONV1D_EACH_VECTOR

}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
