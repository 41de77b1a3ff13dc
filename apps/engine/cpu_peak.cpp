#include "apps/engine/cpu_peak.h"

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "apps/engine/cpu_peak.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace engine::cli::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;

// Enough to fill two units of four or five cycles, and few enough for 16 registers.
constexpr int kChains = 12;

float run(int64_t rounds, float factor) {
  const D d;
  const auto one = hn::Set(d, 1.0f), multiplier = hn::Set(d, factor);
  hn::Vec<D> chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = hn::Set(d, static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
    for (int i = 0; i < kChains; ++i) chains[i] = hn::MulAdd(chains[i], multiplier, one);
  }
  for (int i = 1; i < kChains; ++i) chains[0] = hn::Add(chains[0], chains[i]);
  return hn::GetLane(chains[0]);
}

PeakLoop loop() { return {run, int64_t{2} * kChains * static_cast<int64_t>(hn::MaxLanes(D()))}; }

}  // namespace
}  // namespace engine::cli::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cli {

HWY_EXPORT(loop);

PeakLoop peak_loop() { return HWY_DYNAMIC_DISPATCH(loop)(); }

}  // namespace engine::cli
#endif
