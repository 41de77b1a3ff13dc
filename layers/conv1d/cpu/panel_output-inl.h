// PanelOutput for sums in vectors, compiled once for each instruction set.
#if defined(CONV1D_PANEL_OUTPUT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef CONV1D_PANEL_OUTPUT_INL_H
#undef CONV1D_PANEL_OUTPUT_INL_H
#else
#define CONV1D_PANEL_OUTPUT_INL_H
#endif

#include <hwy/highway.h>

#include <cstring>

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
  template <int count>
  HWY_INLINE void store(D d, const hn::Vec<D> (&x)[count], float* to) const {
    constexpr int64_t kLanes = hn::MaxLanes(D());
    HWY_UNROLL(12)
    for (int v = 0; v < count; ++v) hn::StoreU(x[v], d, to + v * kLanes);
  }
};

#if HWY_TARGET <= HWY_AVX2
/// The first `columns`, at least none. Memory beyond them is not touched.
template <class D>
struct FirstColumns {
  static constexpr int64_t kLanes = hn::MaxLanes(D());
  int64_t columns;

  HWY_INLINE hn::Mask<D> mask(D d, int v) const {
    const int64_t left = HWY_MIN(HWY_MAX(columns - v * kLanes, int64_t{0}), kLanes);
    return hn::FirstN(d, static_cast<size_t>(left));
  }
  HWY_INLINE hn::Vec<D> load(D d, const float* from, int v) const {
    return hn::MaskedLoad(mask(d, v), d, from);
  }
#if HWY_TARGET <= HWY_AVX3
  template <int count>
  HWY_INLINE void store(D d, const hn::Vec<D> (&x)[count], float* to) const {
    HWY_UNROLL(12)
    for (int v = 0; v < count; ++v) hn::BlendedStore(x[v], mask(d, v), d, to + v * kLanes);
  }
#else
  // A store with a mask takes 25 cycles on Zen 3: what is behind the whole vectors is stored as a
  // vector that ends with it.
  template <int count>
  HWY_INLINE void store(D d, const hn::Vec<D> (&x)[count], float* to) const {
    const int64_t part = columns % kLanes;
    HWY_UNROLL(12)
    for (int v = 0; v < count; ++v) {
      if ((v + 1) * kLanes <= columns) {
        hn::StoreU(x[v], d, to + v * kLanes);
      } else if (v * kLanes >= columns) {
        return;
      } else if (v == 0) {
        store_part(d, x[0], part, to);
      } else {
        const auto before = hn::FirstN(d, static_cast<size_t>(kLanes - part));
        const auto last = hn::IfThenElse(before, rotate(d, x[v - 1], part), rotate(d, x[v], part));
        hn::StoreU(last, d, to + columns - kLanes);
      }
    }
  }
  // Lane i of `x` moves to lane i - count.
  static HWY_INLINE hn::Vec<D> rotate(D d, hn::Vec<D> x, int64_t count) {
    const hn::RebindToSigned<D> places;
    const auto from = hn::Add(hn::Iota(places, 0), hn::Set(places, static_cast<int32_t>(count)));
    constexpr auto kLast = static_cast<int32_t>(kLanes - 1);
    return hn::TableLookupLanes(x, hn::IndicesFromVec(d, hn::And(from, hn::Set(places, kLast))));
  }
  static HWY_INLINE void store_part(D d, hn::Vec<D> x, int64_t count, float* to) {
    constexpr int64_t kHalf = kLanes / 2;
    const hn::Half<D> half;
    if (count < kHalf) {
      HWY_ALIGN float values[kLanes];
      hn::Store(x, d, values);
      for (int64_t i = 0; i < count; ++i) to[i] = values[i];
      return;
    }
    hn::StoreU(hn::LowerHalf(half, x), half, to);
    hn::StoreU(hn::LowerHalf(half, rotate(d, x, count - kHalf)), half, to + count - kHalf);
  }
#endif
};
#endif

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
  finish_vectors<rows>(d, output, row, column, sums, lanes);
  float* y = output.y + row * output.row_stride + column;
  HWY_UNROLL(8)
  for (int r = 0; r < rows; ++r) lanes.store(d, sums[r], y + r * output.row_stride);
}

inline constexpr int kQuad = 4;

#if HWY_TARGET != HWY_SCALAR
inline constexpr int kMostQuads = 96;

template <int length>
void copy_pieces(const float* from, int64_t from_stride, float* to, int64_t to_stride,
                 int64_t count) {
  for (int64_t i = 0; i < count; ++i, from += from_stride, to += to_stride) {
    std::memcpy(to, from, length * sizeof(float));
  }
}

/// Copies `count` pieces of up to kQuad floats.
inline void copy_pieces(int64_t length, const float* from, int64_t from_stride, float* to,
                        int64_t to_stride, int64_t count) {
  if (length == 1) return copy_pieces<1>(from, from_stride, to, to_stride, count);
  if (length == 2) return copy_pieces<2>(from, from_stride, to, to_stride, count);
  if (length == 3) return copy_pieces<3>(from, from_stride, to, to_stride, count);
  copy_pieces<4>(from, from_stride, to, to_stride, count);
}

/// Calls copy(place in y, place in quads, length, count) for the pieces that are in y of up to
/// kQuad rows: those that lie beside each other there, in as many columns as have all of them.
template <class Copy>
void for_each_piece(const PanelOutput& output, int64_t row, int64_t rows, int64_t column,
                    int64_t columns, const Copy& copy) {
  const int64_t stride = output.column_stride;
  for (int64_t first = 0, length = 1; first < rows; first += length, length = 1) {
    const int64_t place = output.place(row + first) + column * stride;
    while (first + length < rows && output.phase(row + first + length) != 0) ++length;
    const int64_t position = output.position + output.phase(row + first) + column * stride;
    const auto exists = [&](int64_t i) { return i >= 0 && i < output.row_stride; };
    const auto copy_values = [&](int64_t j) {
      for (int64_t i = 0; i < length; ++i) {
        if (!exists(position + j * stride + i)) continue;
        copy(place + j * stride + i, j * kQuad + first + i, 1, 1);
      }
    };
    int64_t begin = 0, end = columns;
    while (begin < end && position + begin * stride < 0) copy_values(begin++);
    while (end > begin && !exists(position + (end - 1) * stride + length - 1)) copy_values(--end);
    copy(place + begin * stride, begin * kQuad + first, length, end - begin);
  }
}

/// Finishes and stores sums of up to kQuad rows and kMostQuads columns, those of a column beside
/// each other; stores_quads() holds.
HWY_NOINLINE inline void finish_quads(const PanelOutput& output, int64_t row, int64_t rows,
                                      int64_t column, int64_t columns, float* quads) {
  const hn::CappedTag<float, 16> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  HWY_ALIGN float before[kMostQuads * kQuad];
  HWY_ALIGN float residuals[kMostQuads * kQuad];
  const auto read = [&](const float* y, float* to) {
    for_each_piece(output, row, rows, column, columns,
                   [&](int64_t place, int64_t quad, int64_t length, int64_t count) {
                     copy_pieces(length, y + place, output.column_stride, to + quad, kQuad, count);
                   });
  };
  if (!output.first) read(output.y, before);
  const float* residual = output.last ? output.residual : nullptr;
  if (residual) read(residual, residuals);
  HWY_ALIGN float bias[kQuad] = {};
  if (output.first && output.bias) {
    for (int64_t r = 0; r < rows; ++r) bias[r] = output.bias[output.channel(row + r)];
  }
  const auto biases = hn::LoadDup128(d, bias);
  for (int64_t i = 0; i < columns * kQuad; i += kLanes) {
    const auto added = output.first ? biases : hn::Load(d, before + i);
    hn::Vec<decltype(d)> x[1] = {hn::Add(hn::Load(d, quads + i), added)};
    if (output.last) activate<1>(d, output.activation, &x);
    if (residual) {
      x[0] = hn::Add(x[0], hn::Load(d, residuals + i));
      activate<1>(d, output.residual_activation, &x);
    }
    hn::Store(x[0], d, quads + i);
  }
  for_each_piece(output, row, rows, column, columns,
                 [&](int64_t place, int64_t quad, int64_t length, int64_t count) {
                   copy_pieces(length, quads + quad, kQuad, output.y + place, output.column_stride,
                               count);
                 });
}

/// The same of the first `columns` of `rows` rows of `count` consecutive vectors.
template <int rows, int count, class D, class V>
HWY_INLINE void store_interleaved(D d, const PanelOutput& output, int64_t row, int64_t column,
                                  int64_t columns, const V (&sums)[rows][count]) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  static_assert(count * kLanes <= kMostQuads);
  HWY_UNROLL(2)
  for (int r = 0; r < rows; r += kQuad) {
    HWY_ALIGN float quads[count * kLanes * kQuad];
    HWY_UNROLL(12)
    for (int v = 0; v < count; ++v) {
      V x[kQuad];
      HWY_UNROLL(4)
      for (int i = 0; i < kQuad; ++i) x[i] = r + i < rows ? sums[r + i][v] : hn::Zero(d);
      hn::StoreInterleaved4(x[0], x[1], x[2], x[3], d, quads + v * kLanes * kQuad);
    }
    finish_quads(output, row + r, HWY_MIN(rows - r, kQuad), column, columns, quads);
  }
}
#endif

/// Stores of the sums of `rows` rows of `count` consecutive vectors those of the first `columns`
/// columns: as vectors where `whole_vectors`, which stores_vectors() gives, and they are all of
/// them or the CPU's loads have masks.
template <int rows, int count, class D, class V>
HWY_INLINE void store_sums(D d, const PanelOutput& output, bool whole_vectors, int64_t row,
                           int64_t column, int64_t columns, V (*sums)[count]) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  if (whole_vectors && columns == count * kLanes) {
    return store_vectors<rows>(d, output, row, column, sums);
  }
#if HWY_TARGET <= HWY_AVX2
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
