#include "layers/conv1d/cpu/dense_panel.h"

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/dense_panel.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/conv1d/cpu/panel_output-inl.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// The block of sums, one operand vector for each of its columns and one weight fill the registers:
// 32 of them with AVX-512 and NEON, else 16, of which SSE4 needs one more for a product.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kRows = 8;
constexpr int kVectors = 3;
#elif HWY_TARGET <= HWY_AVX2
constexpr int kRows = 4;
constexpr int kVectors = 3;
#else
constexpr int kRows = 4;
constexpr int kVectors = 2;
#endif

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));

// Where the phases of a channel lie beside each other, once for all of them.
void prefetch_phases(const PanelOutput& output, const float* start, int64_t row, int64_t rows,
                     int64_t columns) {
  constexpr int64_t kLineFloats = 16;
  for (int64_t r = 0; r < rows; ++r) {
    if (r > 0 && output.phase(row + r) != 0) continue;
    const float* y = start + output.place(row + r);
    for (int64_t i = 0; i < columns * output.column_stride; i += kLineFloats) hwy::Prefetch(y + i);
  }
}

// Fetches a block of y, or of the residual, which is laid out as y: its rows are too far apart for
// the machine to foresee.
template <int rows, int vectors>
HWY_INLINE void prefetch_block(const PanelOutput& output, const float* start, int64_t row,
                               int64_t column) {
  start += column * output.column_stride;
  if (output.phases > 1) {
    return prefetch_phases(output, start, row, rows, vectors * kLanes);
  }
  HWY_UNROLL(8)
  for (int r = 0; r < rows; ++r) {
    HWY_UNROLL(12)
    for (int v = 0; v < vectors; ++v) hwy::Prefetch(start + output.place(row + r) + v * kLanes);
  }
}

// Where loads have masks, the last vector of a row's columns may be read as far as they reach. With
// AVX2 the mask takes a register, which blocks of twelve sums have not left: what needs none has
// none.
constexpr bool kMasks = HWY_TARGET <= HWY_AVX2;
constexpr bool kFreeMasks = HWY_TARGET <= HWY_AVX3;
constexpr int kMaskedSums = kFreeMasks ? kRows * kVectors : 8;

// Adds the products of a step. The fewer of the operands stay in registers while the others pass.
template <int rows, int vectors, class Load>
HWY_INLINE void add_products(const float* weights, const Load& load, V (&sums)[rows][vectors]) {
  const D d;
  if constexpr (rows < vectors) {
    V factors[rows];
    for (int r = 0; r < rows; ++r) factors[r] = hn::Set(d, weights[r]);
    for (int v = 0; v < vectors; ++v) {
      const V x = load(v);
      for (int r = 0; r < rows; ++r) sums[r][v] = hn::MulAdd(factors[r], x, sums[r][v]);
    }
  } else {
    V inputs[vectors];
    for (int v = 0; v < vectors; ++v) inputs[v] = load(v);
    for (int r = 0; r < rows; ++r) {
      const V weight = hn::Set(d, weights[r]);
      for (int v = 0; v < vectors; ++v) sums[r][v] = hn::MulAdd(weight, inputs[v], sums[r][v]);
    }
  }
}

// rows x (vectors * kLanes) sums from (row, column) on, of which the last vector is a `part` of one
// or whole.
template <int rows, int vectors, bool part>
HWY_NOINLINE void block(const DensePanel& p, bool whole_vectors, int64_t row, int64_t column) {
  const D d;
  const int64_t columns = HWY_MIN(p.columns - column, int64_t{vectors} * kLanes);
  const auto last = hn::FirstN(d, static_cast<size_t>(columns - (vectors - 1) * kLanes));
  const auto* tile = reinterpret_cast<const char*>(p.tile + column);
  const float* weights = p.weights + row * p.steps;
  prefetch_block<rows, vectors>(p.output, p.output.y, row, column);
  if (p.output.last && p.output.residual) {
    prefetch_block<rows, vectors>(p.output, p.output.residual, row, column);
  }
  V sums[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) sums[r][v] = hn::Zero(d);
  }
  const int32_t* const end = p.offsets + p.steps;
  // Two steps at once are 2 % faster: fewer other instructions between the products.
  HWY_UNROLL(2)
  for (const int32_t* offset = p.offsets; offset < end; ++offset, weights += kRows) {
    const auto* x = reinterpret_cast<const float*>(tile + *offset);
    const auto load = [&](int v) HWY_ATTR {
      const bool masked = part && v == vectors - 1;
      return masked ? hn::MaskedLoad(last, d, x + v * kLanes) : hn::LoadU(d, x + v * kLanes);
    };
    add_products(weights, load, sums);
  }
#if HWY_TARGET != HWY_SCALAR
  if (stores_quads(p.output)) return store_interleaved(d, p.output, row, column, columns, sums);
#endif
  store_sums<rows>(d, p.output, whole_vectors, row, column, columns, sums);
}

using Block = void (*)(const DensePanel&, bool, int64_t, int64_t);

// Blocks of 1 to 6 vectors, as far as the registers reach.
template <int rows, bool part>
struct Blocks {
  static constexpr int kWhole = static_cast<int>(widest_block(rows, kRows, kVectors));
  static constexpr int kWidest = part ? HWY_MIN(kWhole, kMaskedSums / rows) : kWhole;
  static constexpr Block kTable[] = {
      block<rows, 1, part>,
      block<rows, kWidest >= 2 ? 2 : kWidest, part>,
      block<rows, kWidest >= 3 ? 3 : kWidest, part>,
      block<rows, kWidest >= 4 ? 4 : kWidest, part>,
      block<rows, kWidest >= 5 ? 5 : kWidest, part>,
      block<rows, kWidest, part>,
  };
};

template <int rows>
void row_block(const DensePanel& p, bool whole_vectors, int64_t row) {
  constexpr int kWidest = Blocks<rows, false>::kWidest;
  int64_t vectors = 0;
  for (int64_t column = 0; column < p.columns; column += vectors * kLanes) {
    const int64_t left = (p.columns - column + kLanes - 1) / kLanes;
    // A single vector's products would wait for each other.
    vectors = left == kWidest + 1 ? (left + 1) / 2 : HWY_MIN(left, int64_t{kWidest});
    p.ahead->fetch_portion();
    const bool part = kMasks && (kFreeMasks || p.in_place) && left * kLanes > p.columns - column;
    constexpr int64_t kWidestMasked = Blocks<rows, kMasks>::kWidest;
    if (part && vectors == left) vectors = HWY_MIN(left, kWidestMasked);
    const bool masked = part && vectors == left;
    const Block* table = masked ? Blocks<rows, kMasks>::kTable : Blocks<rows, false>::kTable;
    table[vectors - 1](p, whole_vectors, row, column);
  }
}

template <int rows>
void last_row_block(const DensePanel& p, bool whole_vectors, int64_t row) {
  if (p.rows - row == rows) return row_block<rows>(p, whole_vectors, row);
  if constexpr (rows > 1) last_row_block<rows - 1>(p, whole_vectors, row);
}

void run_panel(const DensePanel& p) {
  const bool whole_vectors = stores_vectors(p.output);
  int64_t row = 0;
  for (; row + kRows <= p.rows; row += kRows) row_block<kRows>(p, whole_vectors, row);
  last_row_block<kRows - 1>(p, whole_vectors, row);
}

// A panel takes 24 KB of a first-level cache of 32 KB, which the weights pass through; the tile
// that it is a part of shares a second level of 512 KB with them. Blocks of AVX-512 load an eighth
// of what they multiply, which the second level is fast enough for, and it is larger: panels of 96
// KB leave more channels in one piece. Longer sums are added up from parts: beyond that many steps
// nothing is gained in speed, and several short chains round less than a long one.
#if HWY_TARGET <= HWY_AVX3
constexpr int kPanelFloats = 24576;
constexpr int kTileFloats = 65536;
#else
constexpr int kPanelFloats = 6144;
constexpr int kTileFloats = 32768;
#endif
constexpr int kSteps = 512;

DenseLoop loop() {
  return {kRows, kLanes, kVectors * kLanes, kPanelFloats, kSteps, kTileFloats,
          false, kMasks, run_panel};
}

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(loop);

DenseLoop dense_loop() { return HWY_DYNAMIC_DISPATCH(loop)(); }

}  // namespace engine::cpu
#endif
