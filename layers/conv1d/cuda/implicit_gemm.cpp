#include "layers/conv1d/cuda/implicit_gemm.h"

#include <algorithm>
#include <bit>

namespace engine::cuda {
namespace {

bool begins_at(const void* address, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(bytes) == 0;
}

}  // namespace

ImplicitGemm implicit_gemm(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                           const GemmDeal& deal) {
  ImplicitGemm g(plan.row_tiles * p.groups, plan.column_tiles, plan.row_tiles);
  g.in_length = p.in_length;
  g.in_elements = p.batch * p.in_channels * p.in_length;
  g.out_length = p.out_length;
  g.in_channels = p.in_channels;
  g.out_channels = p.out_channels;
  g.channels = static_cast<int>(p.group_inputs());
  g.group_outputs = static_cast<int>(p.group_outputs());
  g.padding_mode = p.padding_mode;
  g.tiles = deal.whole_tiles + deal.cut_tiles;
  g.whole_tiles = deal.whole_tiles;
  g.parcels = deal.whole_tiles + deal.cut_tiles * deal.pieces;
  g.by_pieces = SmallDivide(deal.pieces);
  g.piece_stages = deal.piece_stages;
  g.column_tiles = plan.column_tiles;
  g.columns = plan.columns;
  g.row_tiles = plan.row_tiles;
  g.groups = static_cast<int>(p.groups);
  g.group_rows = static_cast<int>(plan.group_rows);
  g.advance = plan.advance;
  g.phases = static_cast<int>(plan.fold.phases);
  g.lead = static_cast<int>(plan.fold.lead);
  g.row_channels = plan.row_channels;
  g.phase_blocks = plan.phase_blocks;
  g.odd_rows = p.out_length % 2 != 0 || plan.fold.lead % 2 != 0;
  g.by_matrices = tile.gathers && by_matrices(p, plan);
  g.staged_phases = std::min(g.phases, 8);
  g.staged_pitch = tile.staged_columns * g.staged_phases + 8;
  g.row_vectors = tile.staged_columns * g.staged_phases * static_cast<int>(size_of(p.dtype)) / 16;
  g.by_row_vectors = SmallDivide(g.row_vectors);
  g.stride = plan.fold.stride;
  g.first = plan.fold.first;
  g.spacing = plan.fold.spacing;
  g.unit_channels = plan.unit_channels;
  g.unit_taps = plan.unit_taps;
  g.stage_units = plan.stage_units;
  g.stage_shift = int64_t{plan.stage_taps} * plan.unit_taps * plan.fold.spacing;
  g.channel_stages = plan.channel_stages;
  g.tap_stages = plan.tap_stages;
  g.slots = plan.residues * plan.window_rows;
  g.residues = plan.residues;
  g.log_unit_taps = std::countr_zero(static_cast<unsigned>(plan.unit_taps));
  g.contiguous = plan.unit_taps == 1 && plan.residues == plan.fold.stride &&
                 p.padding_mode == PaddingMode::kZeros;
  g.even_rows = p.in_length % 2 == 0;
  g.residue_pitch = plan.residue_pitch;
  g.unit_pitch = plan.unit_pitch;
  g.by_rows = plan.by_rows;
  g.row_units = plan.row_units;
  g.row_lead = plan.row_lead;
  g.row_turn = plan.row_turn;
  g.row_buffers = plan.row_buffers;
  g.row_bytes = static_cast<int>(plan.row_bytes);
  g.row_length = plan.row_length;
  g.row_pitch = plan.row_pitch;
  g.by_slots = SmallDivide(std::max(g.slots, 1));  // a window that is gathered has none
  g.by_residues = SmallDivide(g.residues);
  g.window_bytes = static_cast<int>(plan.window_bytes);
  g.weight_bytes = static_cast<int>(plan.weight_bytes);
  g.ring = plan.ring;
  g.chunks = plan.chunks;
  g.resident = plan.resident;
  g.steps = plan.steps;
  std::copy(plan.residue, plan.residue + plan.residues, g.residue);
  std::copy(plan.step, plan.step + (tile.gathers ? 2 : 1) * plan.steps, g.step);
  return g;
}

void set_operands(ImplicitGemm& gemm, const void* x, void* y, DType dtype) {
  gemm.x = x;
  gemm.y = y;
  gemm.even_rows = gemm.even_rows && begins_at(x, 2 * size_of(dtype));
  gemm.by_rows = gemm.by_rows && begins_at(x, kUnitBytes);
  gemm.odd_rows = gemm.odd_rows || !begins_at(y, 2 * size_of(dtype));
  gemm.by_matrices = gemm.by_matrices && begins_at(y, 8);
}

}  // namespace engine::cuda
