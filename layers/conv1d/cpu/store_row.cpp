#include "layers/conv1d/cpu/store_row.h"

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/store_row.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/conv1d/cpu/panel_output-inl.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;

constexpr int64_t kLanes = hn::MaxLanes(D());

// Blocks of kVectors vectors from column `done` on, as far as they reach; returns where they end.
template <int kVectors>
int64_t store_blocks(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
                     int64_t count, int64_t done) {
  const D d;
  for (; done + kVectors * kLanes <= count; done += kVectors * kLanes) {
    hn::Vec<D> values[kVectors];
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) values[v] = hn::LoadU(d, sums + done + v * kLanes);
    store_vectors<1>(d, output, row, column + done, &values);
  }
  return done;
}

// Returns how many columns it has stored: where stores have no masks, no part of a vector.
int64_t store_columns(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
                      int64_t count) {
  int64_t done = store_blocks<4>(output, sums, row, column, count, 0);
  done = store_blocks<1>(output, sums, row, column, count, done);
#if HWY_TARGET <= HWY_AVX3
  if (done < count) {
    const D d;
    const FirstColumns<D> lanes{count - done};
    hn::Vec<D> values[1] = {lanes.load(d, sums + done, 0)};
    store_vectors<1>(d, output, row, column + done, &values, lanes);
    done = count;
  }
#endif
  return done;
}

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(store_columns);

void store_row(const PanelOutput& output, const float* sums, int64_t row, int64_t column,
               int64_t count) {
  int64_t done = 0;
  if (stores_vectors(output)) {
    done = HWY_DYNAMIC_DISPATCH(store_columns)(output, sums, row, column, count);
  }
  if (done < count) store_values(output, sums + done, row, column + done, count - done);
}

}  // namespace engine::cpu
#endif
