#include "layers/conv1d/cuda/turn_gemm.h"

#include <algorithm>

namespace engine::cuda {
namespace {

// Groups of taps, and where each tap finds its operands. Of resident weights a slot has those of
// all taps.
void place_taps(const TurnPlan& plan, TurnGemm& g) {
  const int64_t tap_units = plan.tap_bytes() / kUnitBytes;
  g.tap_group_count = plan.groups;
  for (int w = 0; w < plan.windows; ++w) {
    const int begin = plan.first_group[w], end = plan.first_group[w + 1];
    for (int i = begin; i < end; ++i) {
      const int first = plan.group_tap[i], end_tap = plan.group_tap[i + 1];
      g.tap_group[i] = TapGroup(first, end_tap, w, i == begin, i + 1 == end);
      for (int tap = first; tap < end_tap; ++tap) {
        const int64_t before = plan.resident ? tap : tap - first;
        g.tap_units[tap] = {static_cast<uint16_t>(plan.tap[tap].shift),
                            static_cast<uint16_t>(before * tap_units)};
      }
    }
  }
  g.tap_group[plan.groups] = g.tap_group[0];
}

// Where copies of arranged units begin (UnitPlanes).
void place_units(const TurnPlan& plan, int64_t groups, TurnGemm& g) {
  g.unit_pitch = plan.planes.unit_pitch() * kUnitBytes;
  g.sample_unit_bytes = plan.planes.sample_bytes(groups);
  g.stage_unit_bytes = plan.stage_units() * plan.planes.parts * g.unit_pitch;
  const int64_t plane_bytes = plan.stages * g.stage_unit_bytes;
  g.group_unit_bytes = plan.planes.count * plane_bytes;
  for (int w = 0; w < plan.windows; ++w) {
    g.window_units[w] = plan.plane[w] * plane_bytes + plan.offset[w] * kUnitBytes;
  }
}

}  // namespace

TurnGemm turn_gemm(const Conv1dProblem& p, const TurnPlan& plan) {
  TurnGemm g(plan.row_tiles * p.groups, plan.column_tiles, plan.row_tiles,
             plan.planes.length * plan.phases());
  g.out_length = p.out_length;
  g.group_outputs = static_cast<int>(p.group_outputs());
  place_units(plan, p.groups, g);
  g.in_length = static_cast<int>(p.in_length);
  g.phases = plan.phases();
  g.lead = static_cast<int>(plan.fold.lead);
  g.half_channels = plan.half_channels;
  g.tile_channels = plan.tile_channels();
  g.staged_pitch = turn_staged_pitch(plan.columns, plan.size, plan.phases());
  g.tiles = plan.tiles;
  g.column_tiles = plan.column_tiles;
  g.row_tiles = plan.row_tiles;
  g.groups = static_cast<int>(p.groups);
  g.advance = plan.advance;
  g.joined = plan.joined();
  g.samples = static_cast<int>(p.batch);
  g.to_next_sample = p.out_channels * p.out_length - g.by_sample_elements.divisor();
  g.splits = plan.splits;
  g.stages = plan.stages;
  g.window_count = plan.windows;
  g.slot_bytes = static_cast<int>(plan.slot_bytes());
  g.window_bytes = static_cast<int>(plan.window_bytes());
  g.positions = plan.positions();
  g.side_count = plan.sides();
  g.weight_bytes = static_cast<int>(plan.weight_bytes);
  g.weight_slot_bytes = static_cast<int>(plan.weight_slot_bytes);
  g.resident = plan.resident;
  g.ring = plan.ring;
  g.weight_ring = plan.weight_ring;
  for (int w = 0; w < plan.windows; ++w) g.offset[w] = static_cast<int>(plan.offset[w]);
  place_taps(plan, g);
  return g;
}

void set_rows(TurnGemm& gemm, const Conv1dProblem& p, const void* x,
              decltype(&tensor_map) make_map) {
  const int unit = kUnitBytes / static_cast<int>(size_of(p.dtype));
  const TensorRows rows{x, p.dtype, p.batch * p.groups, p.group_inputs(), p.in_length};
  const auto boxes = [&](int count, int units, bool swizzled) {
    return make_map(rows, {count, kTurnChannels, units * unit, swizzled});
  };
  gemm.boxes = boxes(1, kSwizzledUnits, true);
  gemm.all_boxes = boxes(kTurnBoxes, kSwizzledUnits, true);
  if (gemm.side_count == 0) return;
  gemm.side = boxes(1, 1, false);
  gemm.all_sides = boxes(gemm.side_count, 1, false);
}

}  // namespace engine::cuda
