#include "layers/conv1d/cpu/row_panel.h"

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/row_panel.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/conv1d/cpu/panel_output-inl.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Widest = hn::CappedTag<float, 16>;

template <class D>
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));

constexpr int kFloatsAhead = 1024;

// Sums of no more products are computed in vectors of eight floats: half of those at any address
// cross the end of a cache's line, where all vectors of sixteen do, and less is left over behind
// the last block. Longer sums gain nothing, and those of many channels lose, since narrower blocks
// read each channel's row in smaller parts.
constexpr int64_t kFewSteps = 16;

enum class Store { kValues, kVectors, kStream };

// Stores what a block of `vectors` whole vectors has summed up from `column` on.
template <Store store, int vectors, class D>
HWY_INLINE void store_block(D d, const PanelOutput& output, int64_t row, int64_t column,
                            hn::Vec<D> (&sums)[vectors]) {
  if constexpr (store == Store::kVectors) {
    store_vectors<1>(d, output, row, column, &sums);
  } else if constexpr (store == Store::kStream) {
    finish_vectors<1>(d, output, row, column, &sums);
    float* y = output.y + row * output.row_stride + column;
    HWY_UNROLL(12)
    for (int v = 0; v < vectors; ++v) hn::Stream(sums[v], d, y + v * kLanes<D>);
  } else {
    HWY_ALIGN float values[vectors * kLanes<D>];
    HWY_UNROLL(12)
    for (int v = 0; v < vectors; ++v) hn::Store(sums[v], d, values + v * kLanes<D>);
    store_values(output, values, row, column, vectors * kLanes<D>);
  }
}

template <Store store, int vectors, class D>
HWY_INLINE void block(D d, const RowPanel& p, int64_t row, int64_t column) {
  const float* weights = p.weights + row * p.steps;
  const float* input = p.input + column;
  if constexpr (store == Store::kStream) {
    // The memory's own prefetching ends with every page.
    const float* ahead = input + p.offsets[p.steps - 1] + kFloatsAhead;
    HWY_UNROLL(12)
    for (int v = 0; v < vectors; ++v) hwy::Prefetch(ahead + v * kLanes<D>);
  }
  hn::Vec<D> sums[vectors];
  HWY_UNROLL(12)
  for (int v = 0; v < vectors; ++v) sums[v] = hn::Zero(d);
  for (int64_t s = 0; s < p.steps; ++s) {
    const float* x = input + p.offsets[s];
    const auto weight = hn::Set(d, weights[s]);
    HWY_UNROLL(12)
    for (int v = 0; v < vectors; ++v) {
      sums[v] = hn::MulAdd(weight, hn::LoadU(d, x + v * kLanes<D>), sums[v]);
    }
  }
  store_block<store, vectors>(d, p.output, row, column, sums);
}

// Columns [column, columns) as far as whole blocks reach; returns where they end.
template <Store store, int vectors, class D>
int64_t blocks(D d, const RowPanel& p, int64_t row, int64_t column) {
  for (; column + vectors * kLanes<D> <= p.columns; column += vectors * kLanes<D>) {
    block<store, vectors>(d, p, row, column);
  }
  return column;
}

// The last columns of a row, in one block that begins before `column` where it has to: some are
// computed twice.
template <int vectors, class D>
void last_block(D d, const RowPanel& p, int64_t row, int64_t column) {
  if (column + (vectors - 1) * kLanes<D> >= p.columns) {
    if constexpr (vectors > 1) last_block<vectors - 1>(d, p, row, column);
    return;
  }
  block<Store::kVectors, vectors>(d, p, row, p.columns - vectors * kLanes<D>);
}

// Fewer columns than a vector has: those of a vector that may be read, of which some are left out.
template <class D>
void part_of_vector(D d, const RowPanel& p, int64_t row, int64_t column, int64_t count) {
  const float* weights = p.weights + row * p.steps;
  const int64_t start = HWY_MAX(HWY_MIN(column, p.readable - kLanes<D>), int64_t{0});
  const float* input = p.input + start;
  HWY_ALIGN float sums[kLanes<D>];
  if (p.readable >= kLanes<D>) {
    auto sum = hn::Zero(d);
    for (int64_t s = 0; s < p.steps; ++s) {
      sum = hn::MulAdd(hn::Set(d, weights[s]), hn::LoadU(d, input + p.offsets[s]), sum);
    }
    hn::Store(sum, d, sums);
  } else {
    for (int64_t j = 0; j < p.columns; ++j) {
      sums[j] = 0.0f;
      for (int64_t s = 0; s < p.steps; ++s) sums[j] += weights[s] * input[p.offsets[s] + j];
    }
  }
  store_values(p.output, sums + (column - start), row, column, count);
}

template <Store store, class D>
void run_row(D d, const RowPanel& p, int64_t row, int64_t column) {
  column = blocks<store, 12>(d, p, row, column);
  // What is stored twice must not be read: a residual may be the output's memory.
  if (store == Store::kVectors && p.columns >= 12 * kLanes<D> && p.output.residual == nullptr) {
    if (column < p.columns) last_block<12>(d, p, row, column);
    return;
  }
  column = blocks<store, 6>(d, p, row, column);
  column = blocks<store, 3>(d, p, row, column);
  column = blocks<store, 1>(d, p, row, column);
  if (column < p.columns) part_of_vector(d, p, row, column, p.columns - column);
}

// Columns before the first address that whole vectors may be streamed to.
template <class D>
int64_t unaligned_columns(const RowPanel& p, int64_t row) {
  const auto address = reinterpret_cast<uintptr_t>(p.output.y + row * p.output.row_stride);
  constexpr uintptr_t kBytes = kLanes<D> * sizeof(float);
  const auto columns = static_cast<int64_t>((kBytes - address % kBytes) % kBytes / sizeof(float));
  return HWY_MIN(columns, p.columns);
}

template <class D>
void run_rows(const RowPanel& p) {
  const D d;
  const bool whole_vectors = stores_vectors(p.output);
  for (int64_t row = 0; row < p.rows; ++row) {
    if (!whole_vectors) {
      run_row<Store::kValues>(d, p, row, 0);
    } else if (!p.streams) {
      run_row<Store::kVectors>(d, p, row, 0);
    } else {
      const int64_t first = unaligned_columns<D>(p, row);
      if (first > 0) part_of_vector(d, p, row, 0, first);
      run_row<Store::kStream>(d, p, row, first);
    }
  }
  if (p.streams) hwy::FlushStream();
}

void run_panel(const RowPanel& p) {
  if (p.steps <= kFewSteps) {
    run_rows<hn::CappedTag<float, 8>>(p);
  } else {
    run_rows<Widest>(p);
  }
}

RowLoop loop() { return {kLanes<Widest>, run_panel}; }

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(loop);

RowLoop row_loop() { return HWY_DYNAMIC_DISPATCH(loop)(); }

}  // namespace engine::cpu
#endif
