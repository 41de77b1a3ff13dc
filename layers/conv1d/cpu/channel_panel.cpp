#include "layers/conv1d/cpu/channel_panel.h"

#include "layers/conv1d/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/channel_panel.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/conv1d/cpu/panel_output-inl.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kColumns = 4;  // of a block
constexpr int kVectors = 3;  // of output channels in a block
constexpr int kRows = kVectors * kLanes;
// Sums that the registers hold beside operands: with 32 registers, and with 16.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kSums = 24;
#else
constexpr int kSums = 12;
#endif

// The sums of `vectors` x `columns` as several chains of additions, so that none waits for another.
constexpr int chains(int vectors, int columns) {
  const int most = kSums / (vectors * columns);
  return most >= 4 ? 4 : (most >= 2 ? 2 : 1);
}

template <int vectors, int columns>
HWY_INLINE void add_step(const float* weights, const float* x, V (&sums)[columns][vectors]) {
  const D d;
  V channels[vectors];
  for (int v = 0; v < vectors; ++v) channels[v] = hn::LoadU(d, weights + v * kLanes);
  for (int j = 0; j < columns; ++j) {
    const V value = hn::Set(d, x[j]);
    for (int v = 0; v < vectors; ++v) sums[j][v] = hn::MulAdd(channels[v], value, sums[j][v]);
  }
}

// values[m, j] of kColumns columns, of which `columns` are computed.
template <int vectors, int columns>
HWY_NOINLINE void sum_block(const DensePanel& p, int64_t row, int64_t column, float* values) {
  constexpr int kChains = chains(vectors, columns);
  const D d;
  const auto* tile = reinterpret_cast<const char*>(p.tile + column);
  const float* weights = p.weights + row * p.steps;
  V sums[kChains][columns][vectors];
  for (int h = 0; h < kChains; ++h) {
    for (int j = 0; j < columns; ++j) {
      for (int v = 0; v < vectors; ++v) sums[h][j][v] = hn::Zero(d);
    }
  }
  const auto input = [&](int64_t s) { return reinterpret_cast<const float*>(tile + p.offsets[s]); };
  int64_t s = 0;
  for (; s + kChains <= p.steps; s += kChains) {
    for (int h = 0; h < kChains; ++h, weights += kRows) add_step(weights, input(s + h), sums[h]);
  }
  for (; s < p.steps; ++s, weights += kRows) add_step(weights, input(s), sums[0]);
  V total[kColumns][vectors];
  for (int v = 0; v < vectors; ++v) {
    for (int j = 0; j < kColumns; ++j) {
      total[j][v] = hn::Zero(d);
      if (j >= columns) continue;
      total[j][v] = sums[0][j < columns ? j : 0][v];
      for (int h = 1; h < kChains; ++h) {
        total[j][v] = hn::Add(total[j][v], sums[h][j < columns ? j : 0][v]);
      }
    }
    hn::StoreInterleaved4(total[0][v], total[1][v], total[2][v], total[3][v], d,
                          values + v * kLanes * kColumns);
  }
}

using SumBlock = void (*)(const DensePanel&, int64_t, int64_t, float*);

constexpr SumBlock kSumBlock[kVectors][kColumns] = {
    {sum_block<1, 1>, sum_block<1, 2>, sum_block<1, 3>, sum_block<1, 4>},
    {sum_block<2, 1>, sum_block<2, 2>, sum_block<2, 3>, sum_block<2, 4>},
    {sum_block<3, 1>, sum_block<3, 2>, sum_block<3, 3>, sum_block<3, 4>},
};

// Rows of up to kColumns sums each, at (row, column) of y.
void store_block(const DensePanel& p, bool whole_vectors, int64_t row, int64_t rows, int64_t column,
                 int64_t columns, const float* values) {
  const hn::CappedTag<float, kColumns> d;
  const bool reads_y = !p.output.first || (p.output.last && p.output.residual);
  if (!whole_vectors || hn::MaxLanes(d) < kColumns || (columns < kColumns && reads_y)) {
    for (int64_t r = 0; r < rows; ++r) {
      store_values(p.output, values + r * kColumns, row + r, column, columns);
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    auto sum = hn::Load(d, values + r * kColumns);
    if (columns == kColumns) {
      store_vectors<1>(d, p.output, row + r, column, &sum);
      continue;
    }
    finish_vectors<1>(d, p.output, row + r, column, &sum);
    HWY_ALIGN float finished[kColumns];
    hn::Store(sum, d, finished);
    float* y = p.output.y + (row + r) * p.output.row_stride + column;
    for (int64_t j = 0; j < columns; ++j) y[j] = finished[j];
  }
}

void run_panel(const DensePanel& p) {
  const bool whole_vectors = stores_vectors(p.output);
  HWY_ALIGN float values[kRows * kColumns];
  for (int64_t row = 0; row < p.rows; row += kRows) {
    const int64_t rows = HWY_MIN(p.rows - row, int64_t{kRows});
    const int64_t vectors = (rows + kLanes - 1) / kLanes;
    for (int64_t column = 0; column < p.columns; column += kColumns) {
      const int64_t columns = HWY_MIN(p.columns - column, int64_t{kColumns});
      kSumBlock[vectors - 1][columns - 1](p, row, column, values);
      store_block(p, whole_vectors, row, rows, column, columns, values);
    }
  }
}

// Adding to y costs more than it does in rows, so that all steps are summed up at once where the
// tile holds their inputs.
constexpr int kPanelFloats = 16384;
constexpr int kSteps = 16384;

DenseLoop loop() { return {kRows, 1, 2 * kColumns, kPanelFloats, kSteps, run_panel}; }

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(loop);

DenseLoop channel_loop() { return HWY_DYNAMIC_DISPATCH(loop)(); }

}  // namespace engine::cpu
#endif
