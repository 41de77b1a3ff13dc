#include "layers/conv1d/cpu/channel_panel.h"

#include <utility>

#include "engine/cpu/highway_targets.h"

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
constexpr int kVectors = 2;  // of output channels in a block
constexpr int kQuad = 4;     // columns that are stored at once
constexpr int kRows = kVectors * kLanes;
// Columns of a block: as many as there are registers for, 32 or 16, beside operands.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kColumns = 12;
#else
constexpr int kColumns = 6;
#endif
constexpr int kSums = kVectors * kColumns;

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

// values[q, m, j], quads of columns.
template <int vectors, int columns>
HWY_NOINLINE void sum_block(const DensePanel& p, int64_t row, int64_t column, float* values) {
  constexpr int kChains = chains(vectors, columns);
  constexpr int kQuads = (columns + kQuad - 1) / kQuad;
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
  for (int v = 0; v < vectors; ++v) {
    V total[kQuads * kQuad];
    for (int j = 0; j < kQuads * kQuad; ++j) {
      total[j] = j < columns ? sums[0][j % columns][v] : hn::Zero(d);
      for (int h = 1; h < kChains && j < columns; ++h) {
        total[j] = hn::Add(total[j], sums[h][j][v]);
      }
    }
    for (int q = 0; q < kQuads * kQuad; q += kQuad) {
      hn::StoreInterleaved4(total[q], total[q + 1], total[q + 2], total[q + 3], d,
                            values + q * kRows + v * kLanes * kQuad);
    }
  }
}

using SumBlock = void (*)(const DensePanel&, int64_t, int64_t, float*);

// Of 1 to kColumns columns.
template <int vectors, typename Columns>
struct SumBlocks;
template <int vectors, int... columns>
struct SumBlocks<vectors, std::integer_sequence<int, columns...>> {
  static constexpr SumBlock kTable[] = {sum_block<vectors, columns + 1>...};
};
template <int vectors>
constexpr const SumBlock* kSumBlock =
    SumBlocks<vectors, std::make_integer_sequence<int, kColumns>>::kTable;

// Rows of up to kQuad sums each, at (row, column) of y.
void store_quad(const DensePanel& p, bool whole_vectors, int64_t row, int64_t rows, int64_t column,
                int64_t columns, const float* values) {
  const hn::CappedTag<float, kQuad> d;
  const bool reads_y = !p.output.first || (p.output.last && p.output.residual);
  if (!whole_vectors || hn::MaxLanes(d) < kQuad || (columns < kQuad && reads_y)) {
    for (int64_t r = 0; r < rows; ++r) {
      store_values(p.output, values + r * kQuad, row + r, column, columns);
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    hn::Vec<decltype(d)> sum[1] = {hn::Load(d, values + r * kQuad)};
    if (columns == kQuad) {
      store_vectors<1>(d, p.output, row + r, column, &sum);
      continue;
    }
    finish_vectors<1>(d, p.output, row + r, column, &sum);
    HWY_ALIGN float finished[kQuad];
    hn::Store(sum[0], d, finished);
    float* y = p.output.y + (row + r) * p.output.row_stride + column;
    for (int64_t j = 0; j < columns; ++j) y[j] = finished[j];
  }
}

void run_panel(const DensePanel& p) {
  const bool whole_vectors = stores_vectors(p.output);
  const int64_t passes = (p.columns + kColumns - 1) / kColumns;
  const int64_t most = (p.columns + passes - 1) / passes;
  HWY_ALIGN float values[(kColumns + kQuad - 1) / kQuad * kQuad * kRows];
  for (int64_t row = 0; row < p.rows; row += kRows) {
    const int64_t rows = HWY_MIN(p.rows - row, int64_t{kRows});
    const SumBlock* blocks = rows > kLanes ? kSumBlock<2> : kSumBlock<1>;
    for (int64_t column = 0; column < p.columns; column += most) {
      const int64_t columns = HWY_MIN(p.columns - column, most);
      p.ahead->fetch_portion();
      blocks[columns - 1](p, row, column, values);
      for (int64_t q = 0; q < columns; q += kQuad) {
        store_quad(p, whole_vectors, row, rows, column + q, HWY_MIN(columns - q, int64_t{kQuad}),
                   values + q * kRows);
      }
    }
  }
}

// Adding to y costs more than it does in rows, so that all steps are summed up at once where the
// tile holds their inputs.
constexpr int kPanelFloats = 16384;
constexpr int kSteps = 16384;
constexpr int kTileFloats = 32768;

DenseLoop loop() { return {kRows, 1, 2 * kColumns, kPanelFloats, kSteps, kTileFloats, run_panel}; }

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(loop);

DenseLoop channel_loop() { return HWY_DYNAMIC_DISPATCH(loop)(); }

}  // namespace engine::cpu
#endif
