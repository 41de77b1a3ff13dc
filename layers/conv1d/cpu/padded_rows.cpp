#include "layers/conv1d/cpu/padded_rows.h"

#include <type_traits>

#include "engine/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "layers/conv1d/cpu/padded_rows.cpp"
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
using D = hn::CappedTag<float, kLanes>;

// Which lanes of a vector at input position `position` of a row exist, a bit a lane.
uint16_t lanes_at(const PaddedRows& p, int64_t position) {
  const int64_t begin = HWY_MIN(HWY_MAX(-position, int64_t{0}), int64_t{kLanes});
  const int64_t end = HWY_MIN(HWY_MAX(p.in_length - position, begin), int64_t{kLanes});
  return static_cast<uint16_t>((1u << end) - (1u << begin));
}

// Which lanes of a block's first and last two vectors exist. All of those between do.
struct BlockLanes {
  uint16_t first;
  uint16_t before_last;
  uint16_t last;
};

template <int vectors>
BlockLanes block_lanes(const PaddedRows& p, int64_t position) {
  return {lanes_at(p, position), lanes_at(p, position + (vectors - 2) * kLanes),
          lanes_at(p, position + (vectors - 1) * kLanes)};
}

template <int vectors>
HWY_INLINE hn::Vec<D> load(D d, const float* x, int v, const BlockLanes& lanes) {
  if (v > 0 && v < vectors - 2) return hn::LoadU(d, x + v * kLanes);
  const uint16_t mask = v == vectors - 1 ? lanes.last : v == 0 ? lanes.first : lanes.before_last;
  return hn::MaskedLoad(hn::Mask<D>{mask}, d, x + v * kLanes);
}

// A block of columns, which all rows have, and the lanes of its vectors for each step.
struct RowBlock {
  int64_t column;
  int64_t count;  // vectors
  BlockLanes lanes[kMostPaddedSteps];
};

template <int vectors>
void run_block(const PaddedRows& p, bool whole_vectors, int64_t row, const RowBlock& block) {
  const D d;
  const float* input = p.input + row * p.in_length + block.column;
  const float* weights = p.weights + row * p.steps;
  hn::Vec<D> sums[vectors];
  HWY_UNROLL(12)
  for (int v = 0; v < vectors; ++v) sums[v] = hn::Zero(d);
  for (int64_t s = 0; s < p.steps; ++s) {
    const float* x = input + p.offsets[s];
    const auto weight = hn::Set(d, weights[s]);
    HWY_UNROLL(12)
    for (int v = 0; v < vectors; ++v) {
      sums[v] = hn::MulAdd(weight, load<vectors>(d, x, v, block.lanes[s]), sums[v]);
    }
  }
  const int64_t columns = HWY_MIN(p.columns - block.column, int64_t{vectors * kLanes});
  store_sums<1>(d, p.output, whole_vectors, row, block.column, columns, &sums);
}

// Calls `run` with the number of a block's vectors as a constant.
template <int vectors = kMostVectors, class Run>
void with_vectors(int64_t count, const Run& run) {
  if (count == vectors) return run(std::integral_constant<int, vectors>());
  if constexpr (vectors > 1) with_vectors<vectors - 1>(count, run);
}

// Every row has the same blocks; rows of a block after each other.
void run_rows(const PaddedRows& p) {
  const bool whole_vectors = stores_vectors(p.output);
  const int64_t vectors = (p.columns + kLanes - 1) / kLanes;
  RowBlock block;
  for (int64_t v = 0; v < vectors; v += block.count) {
    // The last two vectors of a row, which reach beyond it, belong to one block.
    const int64_t left = vectors - v;
    block.count =
        left == kMostVectors + 1 ? kMostVectors - 1 : HWY_MIN(left, int64_t{kMostVectors});
    block.column = v * kLanes;
    with_vectors(block.count, [&](auto count) {
      for (int64_t s = 0; s < p.steps; ++s) {
        block.lanes[s] = block_lanes<count()>(p, block.column + p.offsets[s]);
      }
      for (int64_t row = 0; row < p.rows; ++row) {
        run_block<count()>(p, whole_vectors, row, block);
      }
    });
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

PaddedRowLoop padded_row_loop() { return HWY_DYNAMIC_DISPATCH(loop)(); }

}  // namespace engine::cpu
#endif
