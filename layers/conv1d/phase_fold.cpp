#include "layers/conv1d/phase_fold.h"

#include <algorithm>
#include <numeric>

namespace engine {
namespace {

// One product of one phase: which tap, and which input for output 0.
struct Product {
  int64_t phase;
  int64_t tap;
  int64_t offset;
};

std::vector<Product> products(const TapRule& rule, int64_t split, int64_t lead) {
  std::vector<Product> all;
  for (int64_t r = 0; r < rule.phases(); ++r) {
    // Those before `lead` are outputs of the column before.
    const int64_t before = r < lead ? 1 : 0;
    const PhaseTaps taps = rule.phase(r - lead + before * rule.phases());
    for (int64_t s = 0; s < split; ++s) {
      for (int64_t i = 0; i < taps.count; ++i) {
        all.push_back({r * split + s, taps.first + i * taps.step,
                       taps.offset + i * taps.shift + (s - before) * rule.in_stride()});
      }
    }
  }
  return all;
}

PhaseFold fold_behind(const TapRule& rule, int64_t split, int64_t lead) {
  const std::vector<Product> all = products(rule, split, lead);
  PhaseFold fold;
  fold.phases = rule.phases() * split;
  fold.lead = lead;
  fold.stride = rule.in_stride() * split;
  int64_t last = 0;
  if (!all.empty()) {
    const auto by_offset = [](const Product& a, const Product& b) { return a.offset < b.offset; };
    fold.first = std::min_element(all.begin(), all.end(), by_offset)->offset;
    last = std::max_element(all.begin(), all.end(), by_offset)->offset;
  }
  int64_t spacing = 0;
  for (const Product& p : all) spacing = std::gcd(spacing, p.offset - fold.first);
  fold.spacing = std::max<int64_t>(spacing, 1);
  fold.taps = (last - fold.first) / fold.spacing + 1;
  fold.tap_table.assign(static_cast<size_t>(fold.phases * fold.taps), -1);
  for (const Product& p : all) {
    const int64_t u = (p.offset - fold.first) / fold.spacing;
    fold.tap_table[static_cast<size_t>(p.phase * fold.taps + u)] = p.tap;
  }
  return fold;
}

}  // namespace

PhaseFold fold_phases(const TapRule& rule, int64_t split) {
  const PhaseFold fold = fold_behind(rule, split, 0);
  const int64_t lead = rule.pad_left() % rule.phases();
  if (lead == 0) return fold;
  const PhaseFold behind = fold_behind(rule, split, lead);
  return behind.taps < fold.taps ? behind : fold;
}

}  // namespace engine
