// store_vectors(): the vector form of PanelOutput, compiled once for each instruction set.
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

template <int count, class D, class V>
HWY_INLINE void activate(D d, const Activation& activation, V* x) {
  const V zero = hn::Zero(d);
  if (activation.kind == Activation::Kind::kReLU) {
    HWY_UNROLL(12)
    for (int v = 0; v < count; ++v) x[v] = hn::IfThenZeroElse(hn::Lt(x[v], zero), x[v]);
  } else if (activation.kind == Activation::Kind::kLeakyReLU) {
    const V slope = hn::Set(d, activation.parameter);
    HWY_UNROLL(12)
    for (int v = 0; v < count; ++v) {
      x[v] = hn::IfThenElse(hn::Lt(x[v], zero), hn::Mul(x[v], slope), x[v]);
    }
  }
}

/// Makes of the sums of `count` consecutive vectors what y is there; stores_vectors() holds.
template <int count, class D, class V>
HWY_INLINE void finish_vectors(D d, const PanelOutput& output, int64_t row, int64_t column,
                               V* sums) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  const int64_t start = row * output.row_stride + column;
  if (!output.first) {
    const float* y = output.y + start;
    HWY_UNROLL(12)
    for (int v = 0; v < count; ++v) sums[v] = hn::Add(sums[v], hn::LoadU(d, y + v * kLanes));
  } else if (output.bias) {
    const V bias = hn::Set(d, output.bias[row]);
    HWY_UNROLL(12)
    for (int v = 0; v < count; ++v) sums[v] = hn::Add(sums[v], bias);
  }
  if (!output.last) return;
  activate<count>(d, output.activation, sums);
  if (output.residual == nullptr) return;
  const float* residual = output.residual + start;
  HWY_UNROLL(12)
  for (int v = 0; v < count; ++v) sums[v] = hn::Add(sums[v], hn::LoadU(d, residual + v * kLanes));
  activate<count>(d, output.residual_activation, sums);
}

/// Stores the same.
template <int count, class D, class V>
HWY_INLINE void store_vectors(D d, const PanelOutput& output, int64_t row, int64_t column,
                              V* sums) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  finish_vectors<count>(d, output, row, column, sums);
  float* y = output.y + row * output.row_stride + column;
  HWY_UNROLL(12)
  for (int v = 0; v < count; ++v) hn::StoreU(sums[v], d, y + v * kLanes);
}

}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
