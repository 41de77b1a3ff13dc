#include "layers/conv1d/cuda/turn_gemm.h"

#include <algorithm>

namespace engine::cuda {
namespace {

// Where each tap finds its operands. Of resident weights a slot has those of all taps.
void place_taps(const TurnPlan& plan, TurnGemm& g) {
  const auto tap_units = static_cast<int>(plan.tap_bytes() / kUnitBytes);
  for (int i = 0; i < plan.taps; ++i) g.window_unit[i] = plan.tap[i].shift;
  for (int group = 0; group < plan.groups; ++group) {
    const int first = plan.resident ? 0 : plan.group_tap[group];
    for (int i = plan.group_tap[group]; i < plan.group_tap[group + 1]; ++i) {
      g.weight_unit[i] = (i - first) * tap_units;
    }
  }
}

}  // namespace

TurnGemm turn_gemm(const Conv1dProblem& p, const TurnPlan& plan) {
  TurnGemm g(plan.row_tiles * p.groups, plan.column_tiles, plan.row_tiles);
  g.out_length = p.out_length;
  g.group_outputs = static_cast<int>(p.group_outputs());
  g.plane_count = plan.planes.count;
  g.plane_units = plan.planes.units * plan.planes.parts;
  g.plane_length = plan.planes.length;
  std::copy_n(plan.plane, plan.windows, g.plane);
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
  std::copy_n(plan.group_tap, plan.groups + 1, g.group_tap);
  std::copy_n(plan.first_group, plan.windows + 1, g.first_group);
  place_taps(plan, g);
  return g;
}

void set_rows(TurnGemm& gemm, const Conv1dProblem& p, const void* x,
              decltype(&tensor_map) make_map) {
  const int unit = kUnitBytes / static_cast<int>(size_of(p.dtype));
  const TensorRows rows{x, p.dtype, p.batch * p.groups, p.group_inputs(), p.in_length};
  gemm.windows = make_map(rows, kTurnChannels, kSwizzledUnits * unit, true);
  gemm.sides = make_map(rows, kTurnChannels, unit, false);
}

}  // namespace engine::cuda
