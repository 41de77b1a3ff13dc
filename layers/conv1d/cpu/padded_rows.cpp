#include "layers/conv1d/cpu/padded_rows.h"

#include <algorithm>
#include <type_traits>

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/padded_rows.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "layers/conv1d/cpu/panel_output-inl.h"

HWY_BEFORE_NAMESPACE();
namespace engine::cpu::HWY_NAMESPACE {
namespace {

#if HWY_TARGET <= HWY_AVX3
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kLanes = 16;
constexpr int kMostVectors = 12;
constexpr int kMostGroups = 2 * PaddedTaps::kMostOffset / PaddedTaps::kGroup + 1;
static_assert(kLanes == PaddedTaps::kGroup);
using D = hn::CappedTag<float, kLanes>;
using Mask = hn::Mask<D>;

// Which lanes of a vector at input position `position` of a row exist.
Mask lanes_at(const PaddedRows& p, int64_t position) {
  const int64_t begin = HWY_MIN(HWY_MAX(-position, int64_t{0}), int64_t{kLanes});
  const int64_t end = HWY_MIN(HWY_MAX(p.in_length - position, begin), int64_t{kLanes});
  return Mask{static_cast<uint16_t>((1u << end) - (1u << begin))};
}

// A block of columns, and which lanes exist of the vectors that its first group of taps shares: one
// more than the block has. All but the first one and the last three do. Each further group's last
// vector is the only one that it does not share with the group before.
template <int vectors>
struct Block {
  int64_t column;
  int64_t lowest;
  int64_t groups;
  const PaddedTaps::Tap* taps;
  const PaddedTaps::Tap* ends[kMostGroups];
  Mask first;
  Mask last[3];
  Mask further[kMostGroups];
  Mask outputs;  // of the last vector

  Block(const PaddedRows& p, int64_t begin)
      : column(begin),
        lowest(p.taps.lowest),
        groups(static_cast<int64_t>(p.taps.group_ends.size())),
        taps(p.taps.taps.data()) {
    const auto lanes = [&](int64_t v) { return lanes_at(p, begin + lowest + v * kLanes); };
    first = lanes(0);
    for (int i = 0; i < 3; ++i) last[i] = lanes(vectors - 2 + i);
    for (int64_t g = 0; g < groups; ++g) {
      ends[g] = taps + p.taps.group_ends[static_cast<size_t>(g)];
      further[g] = lanes(vectors + g);
    }
    const int64_t left = HWY_MIN(p.columns - begin - (vectors - 1) * kLanes, int64_t{kLanes});
    outputs = hn::FirstN(D(), static_cast<size_t>(left));
  }

  HWY_INLINE hn::Vec<D> load_input(const float* x, int v) const {
    const D d;
    if (v > 0 && v < vectors - 2) return hn::LoadU(d, x);
    return hn::MaskedLoad(v < vectors - 2 ? first : last[v - (vectors - 2)], d, x);
  }
  // As store_vectors() needs them.
  HWY_INLINE hn::Vec<D> load(D d, const float* from, int v) const {
    return v < vectors - 1 ? hn::LoadU(d, from) : hn::MaskedLoad(outputs, d, from);
  }
  HWY_INLINE void store(D d, const hn::Vec<D> (&x)[vectors], float* to) const {
    HWY_UNROLL(12)
    for (int v = 0; v < vectors - 1; ++v) hn::StoreU(x[v], d, to + v * kLanes);
    hn::BlendedStore(x[vectors - 1], outputs, d, to + (vectors - 1) * kLanes);
  }
};

// A vector at any address crosses two lines of the cache, and its load counts twice; to put it
// together of two others takes the place of a product. A third of the vectors that exist as a whole
// are loaded, which keeps both busy.
template <int vectors>
constexpr bool is_loaded(int v) {
  return v % 3 == 1 && v < vectors - 2;
}

// The sums of a row whose input is at `input`.
template <int vectors>
HWY_INLINE void add_row(const Block<vectors>& block, const float* input, const float* weights,
                        hn::Vec<D> (&sums)[vectors]) {
  const D d;
  const hn::RebindToSigned<D> places;
  hn::Vec<D> shared[vectors + 1];
  HWY_UNROLL(13)
  for (int v = 0; v <= vectors; ++v) {
    shared[v] = block.load_input(input + block.lowest + v * kLanes, v);
  }
  HWY_UNROLL(12)
  for (int v = 0; v < vectors; ++v) sums[v] = hn::Zero(d);
  const PaddedTaps::Tap* tap = block.taps;
  int64_t at = block.lowest;
  for (int64_t g = 0; g < block.groups; ++g, at += kLanes) {
    if (g > 0) {
      HWY_UNROLL(12)
      for (int v = 0; v < vectors; ++v) shared[v] = shared[v + 1];
      shared[vectors] = hn::MaskedLoad(block.further[g], d, input + at + vectors * kLanes);
    }
    for (const PaddedTaps::Tap* end = block.ends[g]; tap < end; ++tap) {
      const auto weight = hn::Set(d, weights[tap->step]);
      const auto shift = static_cast<int32_t>(tap->offset - at);
      const auto from = hn::Add(hn::Iota(places, 0), hn::Set(places, shift));
      HWY_UNROLL(12)
      for (int v = 0; v < vectors; ++v) {
        const hn::Vec<D> x =
            is_loaded<vectors>(v)
                ? hn::LoadU(d, input + tap->offset + v * kLanes)
                : hn::Vec<D>{_mm512_permutex2var_ps(shared[v].raw, from.raw, shared[v + 1].raw)};
        sums[v] = hn::MulAdd(weight, x, sums[v]);
      }
    }
  }
}

// A block's columns of all rows.
template <int vectors>
void run_block(const PaddedRows& p, int64_t column) {
  const D d;
  const bool whole_vectors = stores_vectors(p.output);
  const Block<vectors> block(p, column);
  const auto steps = static_cast<int64_t>(p.taps.taps.size());
  const float* input = p.input + column;
  const float* weights = p.weights;
  const int64_t rows = p.rows, in_length = p.in_length;
  const bool fetches = p.fetches;
  const PanelOutput output = p.output;
  for (int64_t row = 0; row < rows; ++row, input += in_length, weights += steps) {
    if (fetches) {
      HWY_UNROLL(12)
      for (int v = 0; v < vectors; ++v) hwy::Prefetch(input + rows * in_length + v * kLanes);
    }
    hn::Vec<D> sums[vectors];
    add_row(block, input, weights, sums);
    if (whole_vectors) {
      store_vectors<1>(d, output, row, column, &sums, block);
    } else {
      const int64_t columns = HWY_MIN(p.columns - column, int64_t{vectors * kLanes});
      store_sums<1>(d, p.output, false, row, column, columns, &sums);
    }
  }
}

// Calls `run` with the number of a block's vectors as a constant.
template <int vectors = kMostVectors, class Run>
void with_vectors(int64_t count, const Run& run) {
  if (count == vectors) return run(std::integral_constant<int, vectors>());
  if constexpr (vectors > 1) with_vectors<vectors - 1>(count, run);
}

// Every row has the same blocks, of about the same width; rows of a block after each other.
void run_rows(const PaddedRows& p) {
  const int64_t vectors = (p.columns + kLanes - 1) / kLanes;
  const int64_t blocks = (vectors + kMostVectors - 1) / kMostVectors;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t first = i * vectors / blocks;
    with_vectors((i + 1) * vectors / blocks - first,
                 [&](auto count) { run_block<count()>(p, first * kLanes); });
  }
}

PaddedRowLoop loop() { return run_rows; }
#else
PaddedRowLoop loop() { return nullptr; }
#endif

}  // namespace
}  // namespace engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace engine::cpu {

HWY_EXPORT(loop);

PaddedTaps::PaddedTaps(const std::vector<int64_t>& offsets) {
  for (size_t s = 0; s < offsets.size(); ++s) taps.push_back({offsets[s], static_cast<int64_t>(s)});
  std::sort(taps.begin(), taps.end(),
            [](const Tap& a, const Tap& b) { return a.offset < b.offset; });
  lowest = taps.front().offset;
  size_t end = 0;
  for (int64_t next = lowest + kGroup; end < taps.size(); next += kGroup) {
    while (end < taps.size() && taps[end].offset < next) ++end;
    group_ends.push_back(end);
  }
}

PaddedRowLoop padded_row_loop() { return HWY_DYNAMIC_DISPATCH(loop)(); }

}  // namespace engine::cpu
#endif
