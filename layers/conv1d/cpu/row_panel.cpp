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

// How the inputs of a block come to registers.
enum class Inputs {
  kLoaded,   // a load for every product
  kShifted,  // for every other product one, for the others vectors that several taps share
};

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

template <int vectors, class D>
HWY_INLINE void add_loaded(D d, const RowPanel& p, const float* weights, const float* input,
                           hn::Vec<D> (&sums)[vectors]) {
  for (int64_t s = 0; s < p.steps; ++s) {
    const float* x = input + p.offsets[s];
    const auto weight = hn::Set(d, weights[s]);
    HWY_UNROLL(12)
    for (int v = 0; v < vectors; ++v) {
      sums[v] = hn::MulAdd(weight, hn::LoadU(d, x + v * kLanes<D>), sums[v]);
    }
  }
}

#if HWY_TARGET <= HWY_AVX3
// A vector of sixteen at any address crosses two lines of the cache, and its load counts twice; to
// put it together of two others takes the place of a product. Half of each keeps both busy.
template <int vectors, class D>
HWY_INLINE void add_shifted(D d, const RowPanel& p, const float* weights, const float* input,
                            hn::Vec<D> (&sums)[vectors]) {
  static_assert(kLanes<D> == kSharedFloats);
  const hn::RebindToSigned<D> places;
  const auto unshifted = hn::Iota(places, 0);
  const int64_t lowest = HWY_MIN(p.offsets[0], p.offsets[p.steps - 1]);
  int64_t start = 0;
  hn::Vec<D> shared[vectors];
  for (int64_t s = 0; s < p.steps; ++s) {
    const int64_t offset = p.offsets[s];
    if (s == 0 || shared_start(offset, lowest) != start) {
      start = shared_start(offset, lowest);
      HWY_UNROLL(12)
      for (int v = 0; v < vectors; ++v) shared[v] = hn::LoadU(d, input + start + v * kLanes<D>);
    }
    const auto weight = hn::Set(d, weights[s]);
    const auto from = hn::Add(unshifted, hn::Set(places, static_cast<int32_t>(offset - start)));
    HWY_UNROLL(6)
    for (int v = 0; v < vectors; v += 2) {
      const hn::Vec<D> x{_mm512_permutex2var_ps(shared[v].raw, from.raw, shared[v + 1].raw)};
      sums[v] = hn::MulAdd(weight, x, sums[v]);
      const auto next = hn::LoadU(d, input + offset + (v + 1) * kLanes<D>);
      sums[v + 1] = hn::MulAdd(weight, next, sums[v + 1]);
    }
  }
}
#endif

// Shifts in blocks of 4, 8 and 12 vectors: the others are few, and not worth more code.
template <Inputs inputs, int vectors, class D>
HWY_INLINE void add_inputs(D d, const RowPanel& p, const float* weights, const float* input,
                           hn::Vec<D> (&sums)[vectors]) {
#if HWY_TARGET <= HWY_AVX3
  if constexpr (inputs == Inputs::kShifted && vectors % 4 == 0) {
    return add_shifted<vectors>(d, p, weights, input, sums);
  }
#endif
  add_loaded<vectors>(d, p, weights, input, sums);
}

template <Store store, Inputs inputs, int vectors, class D>
HWY_INLINE void block(D d, const RowPanel& p, int64_t row, int64_t column) {
  const float* weights = p.weights + row * p.weight_stride;
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
  add_inputs<inputs, vectors>(d, p, weights, input, sums);
  store_block<store, vectors>(d, p.output, row, column, sums);
}

// Columns [column, columns) as far as whole blocks reach; returns where they end.
template <Store store, Inputs inputs, int vectors, class D>
int64_t blocks(D d, const RowPanel& p, int64_t row, int64_t column) {
  for (; column + vectors * kLanes<D> <= p.columns; column += vectors * kLanes<D>) {
    block<store, inputs, vectors>(d, p, row, column);
  }
  return column;
}

// The last columns of a row, in one block that begins before `column` where it has to: some are
// computed twice.
template <Inputs inputs, int vectors, class D>
void last_block(D d, const RowPanel& p, int64_t row, int64_t column) {
  if (column + (vectors - 1) * kLanes<D> >= p.columns) {
    if constexpr (vectors > 1) last_block<inputs, vectors - 1>(d, p, row, column);
    return;
  }
  block<Store::kVectors, inputs, vectors>(d, p, row, p.columns - vectors * kLanes<D>);
}

// Whether there are columns enough for such a block.
template <class D>
bool has_last_block(const RowPanel& p, int64_t column) {
  return (p.columns - column + kLanes<D> - 1) / kLanes<D> * kLanes<D> <= p.columns;
}

// Fewer columns than a vector has: those of a vector that may be read, of which some are left out.
template <class D>
void part_of_vector(D d, const RowPanel& p, int64_t row, int64_t column, int64_t count) {
  const float* weights = p.weights + row * p.weight_stride;
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

template <Store store, Inputs inputs, class D>
void run_row(D d, const RowPanel& p, int64_t row, int64_t column) {
  column = blocks<store, inputs, 12>(d, p, row, column);
  // What is stored twice must not be read: a residual may be the output's memory.
  if (store == Store::kVectors && p.output.first && p.output.residual == nullptr) {
    if (!has_last_block<D>(p, column)) column = blocks<store, inputs, 6>(d, p, row, column);
    if (has_last_block<D>(p, column)) {
      if (column < p.columns) last_block<inputs, 12>(d, p, row, column);
      return;
    }
  }
  column = blocks<store, inputs, 6>(d, p, row, column);
  column = blocks<store, inputs, 3>(d, p, row, column);
  column = blocks<store, inputs, 1>(d, p, row, column);
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

template <Inputs inputs, class D>
void run_rows(const RowPanel& p) {
  const D d;
  const bool whole_vectors = stores_vectors(p.output);
  for (int64_t row = 0; row < p.rows; ++row) {
    if (!whole_vectors) {
      run_row<Store::kValues, inputs>(d, p, row, 0);
    } else if (!p.streams) {
      run_row<Store::kVectors, inputs>(d, p, row, 0);
    } else {
      const int64_t first = unaligned_columns<D>(p, row);
      if (first > 0) part_of_vector(d, p, row, 0, first);
      run_row<Store::kStream, inputs>(d, p, row, first);
    }
  }
  if (p.streams) hwy::FlushStream();
}

void run_panel(const RowPanel& p) {
#if HWY_TARGET <= HWY_AVX3
  constexpr int64_t kFewColumns = 12 * kSharedFloats;  // fewer have too few whole blocks
  if (p.shares_vectors && p.columns >= kFewColumns) {
    return run_rows<Inputs::kShifted, Widest>(p);
  }
#endif
  if (p.steps <= kFewSteps) {
    run_rows<Inputs::kLoaded, hn::CappedTag<float, 8>>(p);
  } else {
    run_rows<Inputs::kLoaded, Widest>(p);
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
