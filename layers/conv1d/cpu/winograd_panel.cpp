#include "layers/conv1d/cpu/winograd_panel.h"

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/winograd_panel.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/conv1d/cpu/panel_output-inl.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// Sums of `kKinds` kinds of products at a time, the vectors of columns and a weight fill the
// registers. With AVX-512 that is eight loads for twelve products: CPUs that start two products in
// a cycle start no more than two loads. (8 rows of one vector, nine loads for eight products, took
// 1.1 to 1.2 times as long on a Sapphire Rapids.) In 16 registers two kinds would be five loads for
// six products; one is seven for twelve, and the other kind's sums wait in memory.
#if HWY_TARGET <= HWY_AVX3
constexpr int kKinds = 2;
constexpr int kRows = 6;
constexpr int kVectors = 2;
#elif HWY_TARGET == HWY_NEON
constexpr int kKinds = 2;
constexpr int kRows = 4;
constexpr int kVectors = 3;
#elif HWY_TARGET <= HWY_AVX2
constexpr int kKinds = 1;
constexpr int kRows = 4;
constexpr int kVectors = 3;
#else
constexpr int kKinds = 1;
constexpr int kRows = 4;
constexpr int kVectors = 2;
#endif

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int64_t kColumns = kVectors * kLanes;

// Loops over the vectors of a block are unrolled, else the compiler keeps them in memory.
#define CONV1D_EACH_VECTOR(r, v) \
  HWY_UNROLL(8) for (int r = 0; r < rows; ++r) HWY_UNROLL(3) for (int v = 0; v < vectors; ++v)

// Which lanes of two vectors, counted through both, a third consists of.
class Order {
 public:
  explicit Order(const int32_t* lanes) {
#if HWY_TARGET != HWY_SCALAR
    const hn::RebindToSigned<D> di;
    const auto lane = hn::LoadU(di, lanes);
    const auto last = hn::Set(di, kLanes - 1);
    second_ = hn::RebindMask(D(), hn::Gt(lane, last));
    indices_ = hn::IndicesFromVec(D(), hn::And(lane, last));
#else
    second_ = *lanes > 0;
#endif
  }

  V pick(V a, V b) const {
#if HWY_TARGET != HWY_SCALAR
    return hn::IfThenElse(second_, hn::TableLookupLanes(b, indices_),
                          hn::TableLookupLanes(a, indices_));
#else
    return second_ ? b : a;
#endif
  }

 private:
#if HWY_TARGET != HWY_SCALAR
  hn::Mask<D> second_;
  decltype(hn::IndicesFromVec(D(), hn::Zero(hn::RebindToSigned<D>()))) indices_;
#else
  bool second_;
#endif
};

// Rows of inputs and of weights from a product on.
struct Operands {
  const float* inputs;
  const float* weights;

  HWY_INLINE Operands from(int64_t product) const {
    return {inputs + product * kColumns, weights + product * kRows};
  }
};

// sums[k] += `count` products of each of `kinds` kinds, whose first ones are `distance` products
// apart.
template <int kinds, int rows, int vectors>
HWY_INLINE void accumulate(const Operands& first, int64_t distance, int64_t count,
                           V (*sums)[rows][vectors]) {
  const D d;
  // Else GCC loads the inputs from memory again for every product.
  HWY_UNROLL(2)
  for (int64_t i = 0; i < count; ++i) {
    HWY_UNROLL(2)
    for (int k = 0; k < kinds; ++k) {
      const Operands product = first.from(i + k * distance);
      V columns[vectors];
      for (int v = 0; v < vectors; ++v) columns[v] = hn::Load(d, product.inputs + v * kLanes);
      for (int r = 0; r < rows; ++r) {
        const V weight = hn::Set(d, product.weights[r]);
        for (int v = 0; v < vectors; ++v) {
          sums[k][r][v] = hn::MulAdd(weight, columns[v], sums[k][r][v]);
        }
      }
    }
  }
}

// sums[0] += `firsts` products, and sums[1] += the `seconds` behind them, no more of them.
template <int rows, int vectors>
HWY_INLINE void accumulate_both(const Operands& first, int64_t firsts, int64_t seconds,
                                V (*sums)[rows][vectors]) {
  if constexpr (kKinds == 2) {
    accumulate<2>(first, firsts, seconds, sums);
    accumulate<1>(first.from(seconds), 0, firsts - seconds, sums);
  } else {
    accumulate<1>(first, 0, firsts, sums);
    accumulate<1>(first.from(firsts), 0, seconds, sums + 1);
  }
}

// Makes the sum and the difference of the two sums of each column.
template <int rows, int vectors>
HWY_INLINE void add_and_subtract(V (*sums)[rows][vectors]) {
  CONV1D_EACH_VECTOR(r, v) {
    const V sum = hn::Add(sums[0][r][v], sums[1][r][v]);
    sums[1][r][v] = hn::Sub(sums[0][r][v], sums[1][r][v]);
    sums[0][r][v] = sum;
  }
}

// Fetches a block of y, or of the residual, which is laid out as y: its rows are too far apart for
// the machine to foresee.
template <int rows, int vectors>
HWY_INLINE void prefetch_block(const WinogradPanel& p, const float* start, int64_t row) {
  const int64_t second = p.distance <= kLanes ? vectors * p.vector_columns : p.distance;
  CONV1D_EACH_VECTOR(r, v) {
    const float* y = start + (row + r) * p.output.row_stride + v * p.vector_columns;
    hwy::Prefetch(y);
    hwy::Prefetch(y + second);
  }
}

// Windows may begin behind the last column.
constexpr int kWindowColumns = (kVectors + 1) * kLanes;

// Joins pieces of y[t] and of y[t + d], of which vectors hold parts. A function of its own, as GCC
// 12 ends with an internal error where it is inlined.
template <int rows>
HWY_NOINLINE void store_pieces(const WinogradPanel& p, bool whole_vectors, int64_t row,
                               const float (*sums)[rows][kWindowColumns]) {
  const D d;
  const int64_t outputs = HWY_MIN(2 * p.columns, p.outputs);
  const WinogradWindow* window = p.windows;
  for (int64_t output = 0; output < outputs; output += kLanes, ++window) {
    const Order order(window->lanes);
    V y[rows][1];
    HWY_UNROLL(8)
    for (int r = 0; r < rows; ++r) {
      y[r][0] = order.pick(hn::LoadU(d, sums[0][r] + window->first[0]),
                           hn::LoadU(d, sums[1][r] + window->first[1]));
    }
    const int64_t count = HWY_MIN(int64_t{kLanes}, outputs - output);
    store_sums<rows>(d, p.output, whole_vectors, row, output, count, y);
  }
}

// The same where each vector holds whole pieces.
template <int rows, int vectors>
HWY_INLINE void store_whole_pieces(const WinogradPanel& p, bool whole_vectors, int64_t row,
                                   V (*sums)[rows][vectors]) {
  const D d;
  const Order first(p.windows[0].lanes), second(p.windows[1].lanes);
  HWY_UNROLL(3)
  for (int v = 0; v < vectors; ++v) {
    V y[rows][2];
    HWY_UNROLL(8)
    for (int r = 0; r < rows; ++r) {
      y[r][0] = first.pick(sums[0][r][v], sums[1][r][v]);
      y[r][1] = second.pick(sums[0][r][v], sums[1][r][v]);
    }
    const int64_t column = 2 * v * p.vector_columns;
    const int64_t count = HWY_MIN(2 * p.vector_columns, p.outputs - column);
    if (count > 0) store_sums<rows>(d, p.output, whole_vectors, row, column, count, y);
  }
}

template <int rows, int vectors>
HWY_INLINE void store_block(const WinogradPanel& p, bool whole_vectors, int64_t row,
                            V (*sums)[rows][vectors]) {
  const D d;
  if (p.distance > kLanes) {
    const int64_t first = HWY_MIN(p.columns, p.outputs);
    const int64_t second = HWY_MIN(p.columns, p.outputs - p.distance);
    store_sums<rows>(d, p.output, whole_vectors, row, 0, first, sums[0]);
    if (second <= 0) return;
    store_sums<rows>(d, p.output, whole_vectors, row, p.distance, second, sums[1]);
    return;
  }
  if (p.vector_columns % p.distance == 0) {
    return store_whole_pieces(p, whole_vectors, row, sums);
  }
  HWY_ALIGN float columns[2][rows][kWindowColumns];
  CONV1D_EACH_VECTOR(r, v) {
    hn::Store(sums[0][r][v], d, columns[0][r] + v * kLanes);
    hn::Store(sums[1][r][v], d, columns[1][r] + v * kLanes);
  }
  store_pieces<rows>(p, whole_vectors, row, columns);
}

template <int rows, int vectors>
HWY_NOINLINE void block(const WinogradPanel& p, bool whole_vectors, int64_t row) {
  const D d;
  const WinogradProducts& products = p.products;
  const Operands first{p.inputs, p.weights + row * products.count()};
  prefetch_block<rows, vectors>(p, p.output.y, row);
  if (p.output.last && p.output.residual) {
    prefetch_block<rows, vectors>(p, p.output.residual, row);
  }
  V sums[2][rows][vectors];
  CONV1D_EACH_VECTOR(r, v) { sums[0][r][v] = sums[1][r][v] = hn::Zero(d); }
  accumulate_both(first, products.apart, products.apart, sums);
  add_and_subtract<rows, vectors>(sums);
  accumulate_both(first.from(2 * products.apart), products.p, products.q, sums);
  add_and_subtract<rows, vectors>(sums);
  store_block<rows, vectors>(p, whole_vectors, row, sums);
}

template <int rows>
void row_block(const WinogradPanel& p, bool whole_vectors, int64_t row) {
  const int64_t vectors = (p.columns + p.vector_columns - 1) / p.vector_columns;
  p.ahead->fetch_portion();
  if (vectors == kVectors) return block<rows, kVectors>(p, whole_vectors, row);
  if (vectors == 1) return block<rows, 1>(p, whole_vectors, row);
  block<rows, HWY_MIN(kVectors, 2)>(p, whole_vectors, row);
}

template <int rows>
void last_row_block(const WinogradPanel& p, bool whole_vectors, int64_t row) {
  if (p.rows - row == rows) return row_block<rows>(p, whole_vectors, row);
  if constexpr (rows > 1) last_row_block<rows - 1>(p, whole_vectors, row);
}

void run_panel(const WinogradPanel& p) {
  const bool whole_vectors = stores_vectors(p.output);
  int64_t row = 0;
  for (; row + kRows <= p.rows; row += kRows) row_block<kRows>(p, whole_vectors, row);
  last_row_block<kRows - 1>(p, whole_vectors, row);
}

void split(const float* source, const int32_t* order, int64_t vector_columns, int64_t count,
           int64_t ahead, float* even, float* odd) {
  const D d;
  const Order first(order), second(order + kLanes);
  for (int64_t i = 0; i < count; i += vector_columns, source += 2 * vector_columns) {
    hwy::Prefetch(source + ahead);
    hwy::Prefetch(source + kLanes + ahead);
    const V a = hn::LoadU(d, source), b = hn::LoadU(d, source + kLanes);
    hn::StoreU(first.pick(a, b), d, even + i);
    hn::StoreU(second.pick(a, b), d, odd + i);
  }
}

template <int taps>
HWY_INLINE void transform_vector(const float* const* inputs, int64_t column,
                                 const WinogradRows& rows, int64_t place) {
  const D d;
  V x[taps + 1];
  for (int i = 0; i <= taps; ++i) x[i] = hn::LoadU(d, inputs[i] + column);
  const auto store = [&](V input, float* row) { hn::Store(input, d, row + place); };
  if constexpr (taps == 1) {
    store(x[0], rows.first);
    store(x[1], rows.second);
  } else if constexpr (taps == 2) {
    store(hn::Sub(x[0], x[1]), rows.first);
    store(hn::Sub(x[2], x[1]), rows.second);
    store(x[1], rows.p);
  } else {
    store(hn::Sub(x[0], x[2]), rows.first);
    store(hn::Sub(x[3], x[1]), rows.second);
    store(hn::Add(x[1], x[2]), rows.p);
    store(hn::Sub(x[2], x[1]), rows.q);
  }
}

template <int taps>
void transform_group(const float* const* inputs, int64_t columns, const WinogradRows& rows) {
  int64_t panel = 0;
  for (int64_t first = 0; first < columns; first += rows.panel_columns) {
    const int64_t count = HWY_MIN(rows.panel_columns, columns - first);
    int64_t place = panel;
    for (int64_t column = 0; column < count; column += rows.vector_columns, place += kLanes) {
      transform_vector<taps>(inputs, first + column, rows, place);
    }
    panel += rows.panel_floats;
  }
}

void transform(const float* const* inputs, int64_t taps, int64_t columns,
               const WinogradRows& rows) {
  if (taps == 3) return transform_group<3>(inputs, columns, rows);
  if (taps == 2) return transform_group<2>(inputs, columns, rows);
  transform_group<1>(inputs, columns, rows);
}

// With AVX-512 a panel takes a first-level cache of 32 KB, which weights pass through: where panels
// of 24 KB leave two chunks of channels, one of 32 takes 0.9 of their time. Blocks of AVX2 load a
// panel by halves of its vectors, row after row, for which the second level is fast enough: fewer
// and longer chunks took 0.95 of the time of panels of 32 KB, and longer ones no less. Tiles share
// the second level with the weights.
#if HWY_TARGET <= HWY_AVX3
constexpr int kPanelFloats = 8192;
#else
constexpr int kPanelFloats = 12288;
#endif
constexpr int kTileFloats = 65536;

WinogradLoop loop() {
  return {kRows, kKinds, kLanes, kColumns, kPanelFloats, kTileFloats, run_panel, split, transform};
}

#undef CONV1D_EACH_VECTOR

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(loop);

WinogradLoop winograd_loop() { return HWY_DYNAMIC_DISPATCH(loop)(); }

}  // namespace engine::cpu
#endif
