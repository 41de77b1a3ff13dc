// Transposing 4 x 4 values in vectors, compiled once for each instruction set but plain scalars.
#if defined(CONV1D_TRANSPOSE_QUADS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CONV1D_TRANSPOSE_QUADS_INL_H
#undef CONV1D_TRANSPOSE_QUADS_INL_H
#else
#define CONV1D_TRANSPOSE_QUADS_INL_H
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR
/// In each quad of lanes: value i of rows[j] is what value j of columns[i] was.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void transpose_quads(D d, const V (&columns)[4], V (&rows)[4]) {
  const V low_even = hn::InterleaveLower(d, columns[0], columns[2]);
  const V high_even = hn::InterleaveUpper(d, columns[0], columns[2]);
  const V low_odd = hn::InterleaveLower(d, columns[1], columns[3]);
  const V high_odd = hn::InterleaveUpper(d, columns[1], columns[3]);
  rows[0] = hn::InterleaveLower(d, low_even, low_odd);
  rows[1] = hn::InterleaveUpper(d, low_even, low_odd);
  rows[2] = hn::InterleaveLower(d, high_even, high_odd);
  rows[3] = hn::InterleaveUpper(d, high_even, high_odd);
}
#endif

}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
