#include "layers/linear/linear_panel.h"

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/linear/linear_panel.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kVectors = 2;  // of outputs in a block
constexpr int kOutputs = kVectors * kLanes;
constexpr int kRows = 6;
constexpr int kSums = kRows * kVectors;  // that the registers hold beside operands

// Sums of few rows as several chains of additions, so that none waits for another.
constexpr int chains(int rows) {
  const int most = kSums / (rows * kVectors);
  return most >= 4 ? 4 : most;
}

template <int rows>
HWY_INLINE void add_step(const LinearPanel& p, int64_t step, V (&sums)[rows][kVectors]) {
  const D d;
  V weights[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    weights[v] = hn::LoadU(d, p.weights + step * kOutputs + v * kLanes);
  }
  for (int r = 0; r < rows; ++r) {
    const V value = hn::Set(d, p.x[r * p.x_stride + step]);
    for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::MulAdd(weights[v], value, sums[r][v]);
  }
}

// Adds what the sums start from and stores them, or as many as the block has.
HWY_INLINE void store_row(const LinearPanel& p, float* y, V* sums) {
  const D d;
  const float* start = p.adds ? y : p.bias;
  if (p.outputs == kOutputs) {
    for (int v = 0; v < kVectors; ++v) {
      if (start) sums[v] = hn::Add(sums[v], hn::LoadU(d, start + v * kLanes));
      hn::StoreU(sums[v], d, y + v * kLanes);
    }
    return;
  }
  HWY_ALIGN float values[kOutputs];
  for (int v = 0; v < kVectors; ++v) hn::Store(sums[v], d, values + v * kLanes);
  for (int64_t m = 0; m < p.outputs; ++m) y[m] = start ? values[m] + start[m] : values[m];
}

template <int rows>
void block(const LinearPanel& p) {
  constexpr int kChains = chains(rows);
  const D d;
  V sums[kChains][rows][kVectors];
  for (int h = 0; h < kChains; ++h) {
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < kVectors; ++v) sums[h][r][v] = hn::Zero(d);
    }
  }
  int64_t step = 0;
  for (; step + kChains <= p.steps; step += kChains) {
    for (int h = 0; h < kChains; ++h) add_step<rows>(p, step + h, sums[h]);
  }
  for (; step < p.steps; ++step) add_step<rows>(p, step, sums[0]);
  for (int r = 0; r < rows; ++r) {
    for (int h = 1; h < kChains; ++h) {
      for (int v = 0; v < kVectors; ++v) sums[0][r][v] = hn::Add(sums[0][r][v], sums[h][r][v]);
    }
    store_row(p, p.y + r * p.y_stride, sums[0][r]);
  }
}

constexpr void (*kBlocks[kRows])(const LinearPanel&) = {block<1>, block<2>, block<3>,
                                                        block<4>, block<5>, block<6>};

void run_panel(const LinearPanel& panel) {
  LinearPanel p = panel;
  while (p.rows > 0) {
    const int64_t rows = HWY_MIN(p.rows, int64_t{kRows});
    kBlocks[rows - 1](p);
    p.x += rows * p.x_stride;
    p.y += rows * p.y_stride;
    p.rows -= rows;
  }
}

LinearLoop loop() { return {kOutputs, run_panel}; }

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(loop);

LinearLoop linear_loop() { return HWY_DYNAMIC_DISPATCH(loop)(); }

}  // namespace engine::cpu
#endif
