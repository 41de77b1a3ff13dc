#include "layers/conv1d/cpu/channel_panel.h"

#include <utility>

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/channel_panel.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/conv1d/cpu/panel_output-inl.h"
#include "layers/conv1d/cpu/transpose_quads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kVectors = 2;  // of output channels in a block
constexpr int kRows = kVectors * kLanes;
// Columns of a block: as many as there are registers for, 32 or 16, beside operands.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kColumns = 12;
#else
constexpr int kColumns = 6;
#endif
constexpr int kSums = kVectors * kColumns;

// The sums of `vectors` x `columns` as several chains of additions, so that none waits for another.
constexpr int most_chains(int vectors, int columns) {
  const int most = kSums / (vectors * columns);
  return most >= 4 ? 4 : (most >= 2 ? 2 : 1);
}

template <int vectors, int columns>
HWY_INLINE void add_step(const float* weights, const float* x, int64_t stride,
                         V (&sums)[columns][vectors]) {
  const D d;
  V channels[vectors];
  HWY_UNROLL(2)
  for (int v = 0; v < vectors; ++v) channels[v] = hn::LoadU(d, weights + v * kLanes);
  HWY_UNROLL(12)
  for (int j = 0; j < columns; ++j) {
    const V value = hn::Set(d, x[j * stride]);
    HWY_UNROLL(2)
    for (int v = 0; v < vectors; ++v) sums[j][v] = hn::MulAdd(channels[v], value, sums[j][v]);
  }
}

// Rows of up to kQuad sums each, at (row, column) of y.
void store_rows(const PanelOutput& output, int64_t row, int64_t rows, int64_t column,
                int64_t columns, const float* values) {
  const hn::CappedTag<float, kQuad> d;
  const bool reads_y = !output.first || (output.last && output.residual);
  if (!stores_vectors(output) || hn::MaxLanes(d) < kQuad || (columns < kQuad && reads_y)) {
    for (int64_t r = 0; r < rows; ++r) {
      store_values(output, values + r * kQuad, row + r, column, columns);
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    hn::Vec<decltype(d)> sum[1] = {hn::Load(d, values + r * kQuad)};
    if (columns == kQuad) {
      store_vectors<1>(d, output, row + r, column, &sum);
      continue;
    }
    finish_vectors<1>(d, output, row + r, column, &sum);
    HWY_ALIGN float finished[kQuad];
    hn::Store(sum[0], d, finished);
    float* y = output.y + (row + r) * output.row_stride + column;
    for (int64_t j = 0; j < columns; ++j) y[j] = finished[j];
  }
}

// Whether sums become y by vectors of channels: no part of them, and no residual, is in y's rows.
bool finishes_channels(const PanelOutput& output) {
  return stores_vectors(output) && output.first && !(output.last && output.residual);
}

// Makes y of kQuad columns of sums of a vector of channels.
HWY_INLINE void finish_channels(const PanelOutput& output, int64_t row, V (&sums)[kQuad]) {
  const D d;
  if (output.bias) {
    const V bias = hn::LoadU(d, output.bias + row);
    HWY_UNROLL(4)
    for (int j = 0; j < kQuad; ++j) sums[j] = hn::Add(sums[j], bias);
  }
  if (output.last) activate<1>(d, output.activation, &sums);
}

#if HWY_TARGET != HWY_SCALAR
// Stores each quad of `v` at y, y + stride and so on.
template <class DV>
HWY_INLINE void store_quads(DV d, hn::Vec<DV> v, int64_t stride, float* y) {
  if constexpr (hn::MaxLanes(DV()) == kQuad) {
    hn::StoreU(v, d, y);
  } else {
    const hn::Half<DV> half;
    constexpr int64_t kHalfQuads = hn::MaxLanes(DV()) / (2 * kQuad);
    store_quads(half, hn::LowerHalf(half, v), stride, y);
    store_quads(half, hn::UpperHalf(half, v), stride, y + kHalfQuads * stride);
  }
}
#endif

// Stores kQuad columns of a vector of channels, whose rows are `stride` apart.
HWY_INLINE void store_channels(const V (&x)[kQuad], [[maybe_unused]] int64_t stride, float* y) {
  const D d;
#if HWY_TARGET == HWY_SCALAR
  for (int j = 0; j < kQuad; ++j) hn::StoreU(x[j], d, y + j);
#else
  V rows[kQuad];
  transpose_quads(d, x, rows);
  HWY_UNROLL(4)
  for (int r = 0; r < kQuad; ++r) store_quads(d, rows[r], kQuad * stride, y + r * stride);
#endif
}

#if HWY_TARGET != HWY_SCALAR
// The same where phases are interleaved, by quads of rows.
HWY_INLINE void store_phases(const PanelOutput& output, int64_t row, int64_t rows, int64_t column,
                             int64_t columns, const V (&sums)[kQuad]) {
  const D d;
  const hn::CappedTag<float, kQuad> quad;
  HWY_ALIGN float values[kQuad * kLanes];
  HWY_ALIGN float quads[kQuad * kQuad];
  HWY_UNROLL(4)
  for (int j = 0; j < kQuad; ++j) hn::Store(sums[j], d, values + j * kLanes);
  for (int64_t r = 0; r < rows; r += kQuad) {
    HWY_UNROLL(4)
    for (int j = 0; j < kQuad; ++j) {
      hn::Store(hn::Load(quad, values + j * kLanes + r), quad, quads + j * kQuad);
    }
    finish_quads(output, row + r, HWY_MIN(rows - r, int64_t{kQuad}), column, columns, quads);
  }
}
#endif

// Finishes and stores up to kQuad columns of a vector of channels from `row` on.
HWY_INLINE void store_sums(const DensePanel& p, int64_t row, int64_t column, int64_t columns,
                           V (&sums)[kQuad]) {
  const D d;
  const int64_t stride = p.output.row_stride;
  const int64_t rows = HWY_MIN(p.rows - row, int64_t{kLanes});
#if HWY_TARGET != HWY_SCALAR
  if (stores_quads(p.output)) return store_phases(p.output, row, rows, column, columns, sums);
#endif
  HWY_ALIGN float values[kLanes * kQuad];
  if (rows < kLanes || !finishes_channels(p.output)) {
    hn::StoreInterleaved4(sums[0], sums[1], sums[2], sums[3], d, values);
    return store_rows(p.output, row, rows, column, columns, values);
  }
  finish_channels(p.output, row, sums);
  float* y = p.output.y + row * stride + column;
  if (columns == kQuad) return store_channels(sums, stride, y);
  hn::StoreInterleaved4(sums[0], sums[1], sums[2], sums[3], d, values);
  for (int64_t r = 0; r < kLanes; ++r, y += stride) {
    for (int64_t j = 0; j < columns; ++j) y[j] = values[r * kQuad + j];
  }
}

// Fetches the last line of a block of y in every row, which are too far apart for the machine to
// foresee; the block before has fetched the first.
HWY_INLINE void prefetch_rows(const PanelOutput& output, int64_t row, int64_t rows,
                              int64_t last_column) {
  const float* y = output.y + last_column * output.column_stride;
  for (int64_t r = 0; r < rows; ++r) hwy::Prefetch(y + output.place(row + r));
}

// Loops over the vectors of a block are unrolled, else the compiler keeps them in memory.
#define CONV1D_EACH_CHAIN HWY_UNROLL(4) for (int h = 0; h < chains; ++h)
#define CONV1D_EACH_COLUMN HWY_UNROLL(12) for (int j = 0; j < columns; ++j)
#define CONV1D_EACH_VECTOR HWY_UNROLL(2) for (int v = 0; v < vectors; ++v)

// Adds up the chains of sums into the first.
template <int chains, int columns, int vectors>
HWY_INLINE void join_chains(V (&sums)[chains][columns][vectors]) {
  CONV1D_EACH_COLUMN CONV1D_EACH_VECTOR HWY_UNROLL(4) for (int h = 1; h < chains; ++h) {
    sums[0][j][v] = hn::Add(sums[0][j][v], sums[h][j][v]);
  }
}

// All steps of `vectors` vectors of channels and `columns` columns.
template <int vectors, int columns>
HWY_NOINLINE void block(const DensePanel& p, int64_t row, int64_t column) {
  constexpr int chains = most_chains(vectors, columns);
  const D d;
  const auto* tile = reinterpret_cast<const char*>(p.tile + column * p.column_stride);
  const float* weights = p.weights + row * p.steps;
  prefetch_rows(p.output, row, HWY_MIN(p.rows - row, int64_t{vectors} * kLanes),
                column + columns - 1);
  V sums[chains][columns][vectors];
  CONV1D_EACH_CHAIN CONV1D_EACH_COLUMN CONV1D_EACH_VECTOR sums[h][j][v] = hn::Zero(d);
  const auto add = [&](int64_t s, V(&to)[columns][vectors]) {
    const auto* x = reinterpret_cast<const float*>(tile + p.offsets[s]);
    add_step(weights + s * kRows, x, p.column_stride, to);
  };
  int64_t s = 0;
  for (; s + chains <= p.steps; s += chains) {
    CONV1D_EACH_CHAIN add(s + h, sums[h]);
  }
  for (; s < p.steps; ++s) add(s, sums[0]);
  join_chains(sums);
  CONV1D_EACH_VECTOR HWY_UNROLL(3) for (int first = 0; first < columns; first += kQuad) {
    V quad[kQuad];
    HWY_UNROLL(4)
    for (int j = 0; j < kQuad; ++j) {
      const bool exists = first + j < columns;
      quad[j] = exists ? sums[0][exists ? first + j : 0][v] : hn::Zero(d);
    }
    store_sums(p, row + v * kLanes, column + first, HWY_MIN(columns - first, kQuad), quad);
  }
}

#undef CONV1D_EACH_CHAIN
#undef CONV1D_EACH_COLUMN
#undef CONV1D_EACH_VECTOR

using Block = void (*)(const DensePanel&, int64_t, int64_t);

// Of 1 to kColumns columns.
template <int vectors, typename Columns>
struct Blocks;
template <int vectors, int... columns>
struct Blocks<vectors, std::integer_sequence<int, columns...>> {
  static constexpr Block kTable[] = {block<vectors, columns + 1>...};
};
template <int vectors>
constexpr const Block* kBlocks = Blocks<vectors, std::make_integer_sequence<int, kColumns>>::kTable;

void run_panel(const DensePanel& p) {
  const int64_t passes = (p.columns + kColumns - 1) / kColumns;
  const int64_t most = (p.columns + passes - 1) / passes;
  for (int64_t row = 0; row < p.rows; row += kRows) {
    const Block* blocks = p.rows - row > kLanes ? kBlocks<2> : kBlocks<1>;
    for (int64_t column = 0; column < p.columns; column += most) {
      const int64_t columns = HWY_MIN(p.columns - column, most);
      p.ahead->fetch_portion();
      blocks[columns - 1](p, row, column);
    }
  }
}

// Adding to y costs more than it does in rows, so that all steps are summed up at once where the
// tile holds their inputs.
constexpr int kPanelFloats = 16384;
constexpr int kSteps = 16384;
constexpr int kTileFloats = 32768;

DenseLoop loop() {
  return {kRows, 1, 2 * kColumns, kPanelFloats, kSteps, kTileFloats, true, true, run_panel};
}

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(loop);

DenseLoop channel_loop() { return HWY_DYNAMIC_DISPATCH(loop)(); }

}  // namespace engine::cpu
#endif
