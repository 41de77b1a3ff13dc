#include "layers/conv1d/cuda/shift_gemm.h"

#include <algorithm>

namespace engine::cuda {

ShiftGemm shift_gemm(const Conv1dProblem& p, const ShiftPlan& plan) {
  ShiftGemm g(plan.row_tiles * p.groups, plan.column_tiles, plan.row_tiles);
  g.out_length = p.out_length;
  g.group_outputs = static_cast<int>(p.group_outputs());
  g.tiles = plan.tiles;
  g.column_tiles = plan.column_tiles;
  g.row_tiles = plan.row_tiles;
  g.groups = static_cast<int>(p.groups);
  g.advance = plan.advance;
  g.stages = plan.stages;
  g.window_count = plan.windows;
  g.left_sides = plan.left_sides;
  g.right_sides = plan.right_sides;
  g.weight_bytes = static_cast<int>(plan.weight_bytes);
  g.resident = plan.resident;
  g.ring = plan.ring;
  for (int w = 0; w < plan.windows; ++w) g.offset[w] = static_cast<int>(plan.offset[w]);
  std::copy_n(plan.first_tap, plan.windows + 1, g.first_tap);
  for (int i = 0; i < plan.taps; ++i) g.shift[i] = plan.tap[i].shift;
  return g;
}

void set_operands(ShiftGemm& gemm, const Conv1dProblem& p, const ShiftPlan& plan, const void* x,
                  void* y, decltype(&tensor_map) make_map) {
  constexpr int kBoxColumns = 64;
  const int64_t matrices = p.batch * p.groups;
  const TensorRows rows{x, p.dtype, matrices, p.group_inputs(), p.in_length};
  gemm.windows = make_map(rows, kShiftChannels, kBoxColumns, true);
  gemm.sides = make_map(rows, kShiftChannels, kShiftWidth, false);
  gemm.y = y;
  gemm.by_tensor = p.out_length % kShiftWidth == 0 && reinterpret_cast<uintptr_t>(y) % 16 == 0;
  if (!gemm.by_tensor) return;
  const TensorRows results{y, p.dtype, matrices, p.group_outputs(), p.out_length};
  gemm.results = make_map(results, plan.rows, kBoxColumns, true);
}

}  // namespace engine::cuda
