#include "layers/conv1d/cuda/shift_plan.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "engine/round_up.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/gemm_deal.h"

namespace engine::cuda {
namespace {

constexpr int64_t kSector = 16;  // elements of 32 bytes

// The place among `windows` of the nearest one to a tap at `offset`.
int64_t nearest(const std::vector<int64_t>& windows, int64_t offset) {
  const auto nearer = [&](int64_t a, int64_t b) {
    return std::abs(offset - a) < std::abs(offset - b);
  };
  return std::min_element(windows.begin(), windows.end(), nearer) - windows.begin();
}

// Windows for taps whose offsets are multiples of kShiftWidth, and for those that no other serves.
std::vector<int64_t> window_offsets(const std::vector<int64_t>& taps) {
  std::vector<int64_t> windows;
  for (const int64_t offset : taps) {
    if (offset % kShiftWidth == 0) windows.push_back(offset);
  }
  for (const int64_t offset : taps) {
    if (!windows.empty() && std::abs(offset - windows[nearest(windows, offset)]) <= kMostShift) {
      continue;
    }
    windows.push_back(floor_divide(offset + kShiftWidth / 2, kShiftWidth) * kShiftWidth);
  }
  return windows;
}

void lay_windows(ShiftPlan& plan) {
  std::vector<int64_t> taps;
  for (int64_t u = 0; u < plan.fold.taps; ++u) {
    taps.push_back(plan.fold.first + u * plan.fold.spacing);
  }
  const std::vector<int64_t> windows = window_offsets(taps);
  const auto add = [&](size_t u, int shift) {
    plan.tap[plan.taps++] = {static_cast<int>(u), shift};
    if (shift < 0) plan.left_sides = true;
    if (shift > 0) plan.right_sides = true;
  };
  for (const int64_t window : windows) {
    plan.offset[plan.windows] = window;
    for (size_t u = 0; u < taps.size(); ++u) {
      const bool is_nearest = windows[nearest(windows, taps[u])] == window;
      if (is_nearest && taps[u] != window) add(u, static_cast<int>(taps[u] - window));
    }
    const auto plain = std::find(taps.begin(), taps.end(), window);
    if (plain != taps.end()) add(static_cast<size_t>(plain - taps.begin()), 0);
    if (plan.taps > plan.first_tap[plan.windows]) plan.first_tap[++plan.windows] = plan.taps;
  }
}

void lay_shared_memory(ShiftPlan& plan, int64_t shared_bytes, bool streamed) {
  constexpr int64_t kFewestStages = 3;   // with resident weights
  constexpr int64_t kMostRowTiles = 64;  // a block keeps the weights of one
  const auto ring = [&](int64_t bytes, int64_t stage_bytes) {
    return static_cast<int>(std::clamp<int64_t>(bytes / stage_bytes, 0, kMostShiftRing));
  };
  const int64_t bytes = shared_bytes - plan.staging_bytes();
  const int64_t all_weights = plan.stages * plan.weight_bytes;
  plan.ring = ring(std::max<int64_t>(bytes - all_weights, 0), plan.window_bytes());
  plan.resident = !streamed && plan.row_tiles <= kMostRowTiles && plan.ring >= kFewestStages;
  if (!plan.resident) plan.ring = ring(bytes, plan.window_bytes() + plan.weight_bytes);
}

// Cycles of one multiprocessor for a tile, which multiplies while the one before is stored. As
// measured on an H200.
double tile_cycles(const Conv1dProblem& p, const ShiftPlan& plan) {
  constexpr double kTile = 900.0;            // sums begin, and are finished
  constexpr double kWindow = 370.0;          // of operands as they are
  constexpr double kShiftedWindow = 1200.0;  // of those that are shifted
  constexpr double kTap = 40.0;              // beside the tensor cores' time
  constexpr double kL2BytesPerCycle = 29.0;
  constexpr double kStoredRow = 60.0;                             // where the copy engine cannot
  const double products = kShiftChannels / 16 * 2.0 * plan.rows;  // of a tap
  double stage = 0.0;
  for (int w = 0; w < plan.windows; ++w) {
    const int first = plan.first_tap[w], taps = plan.first_tap[w + 1] - first;
    const bool plain = taps == 1 && plan.tap[first].shift == 0;
    stage += (plain ? kWindow : kShiftedWindow) + taps * (products + kTap);
  }
  const double streamed = plan.resident ? 0.0 : static_cast<double>(plan.weight_bytes);
  stage = std::max(stage, (static_cast<double>(plan.window_bytes()) + streamed) / kL2BytesPerCycle);
  const double stores = p.out_length % kShiftWidth == 0 ? 0.0 : kStoredRow * plan.rows;
  return std::max(plan.stages * stage + kTile, stores);
}

}  // namespace

int64_t ShiftPlan::blocks(const Conv1dProblem& p, int64_t multiprocessors) const {
  return persistent_blocks(tiles, resident ? row_tiles * p.groups : 1, multiprocessors);
}

ShiftPlan plan_shift_gemm(const Conv1dProblem& p, int rows, int64_t shared_bytes, bool streamed) {
  ShiftPlan plan;
  plan.fold = fold_phases(tap_problem(p).taps, 1);
  constexpr int64_t kMostLength = INT32_MAX / 2;  // boxes are found by 32-bit indices
  const bool in_range =
      p.in_length <= kMostLength && p.out_length <= kMostLength && p.batch * p.groups <= INT32_MAX;
  const bool fits = plan.fold.phases == 1 && plan.fold.stride == 1 &&
                    plan.fold.taps <= kMostShiftTaps && p.in_length % kShiftWidth == 0 &&
                    p.padding_mode == PaddingMode::kZeros && in_range;
  if (!fits) return plan;
  lay_windows(plan);
  plan.stages = static_cast<int>(ceil_divide(p.group_inputs(), kShiftChannels));
  plan.weight_bytes = int64_t{plan.taps} * kShiftChannels * rows * 2;
  plan.rows = rows;
  plan.row_tiles = static_cast<int>(ceil_divide(p.group_outputs(), rows));
  // Rows of y that begin at multiples of 16 bytes are stored by the copy engine.
  const bool overlap = p.out_length % kShiftWidth != 0 && p.out_length > kShiftColumns;
  plan.advance = static_cast<int>(kShiftColumns - (overlap ? kSector : 0));
  plan.column_tiles = ceil_divide(p.out_length, plan.advance);
  plan.tiles = p.batch * p.groups * plan.row_tiles * plan.column_tiles;
  lay_shared_memory(plan, shared_bytes, streamed);
  plan.tile_cycles = tile_cycles(p, plan);
  plan.valid = plan.ring >= 2;
  return plan;
}

int64_t shift_weight_count(const Conv1dProblem& p, const ShiftPlan& plan) {
  return p.groups * plan.row_tiles * plan.stages * plan.weight_bytes / 2;
}

void pack_shift_weights(const Conv1dProblem& p, const ShiftPlan& plan,
                        const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight,
                        float* packed) {
  const auto element = [&](int64_t g, int64_t m, int64_t c, int u) {
    const int64_t tap = plan.fold.tap(0, u);
    const bool exists = m < p.group_outputs() && c < p.group_inputs() && tap >= 0;
    return exists ? weight(g, m, c, tap) : 0.0f;
  };
  for (int64_t g = 0; g < p.groups; ++g) {
    for (int64_t row_tile = 0; row_tile < plan.row_tiles; ++row_tile) {
      for (int64_t stage = 0; stage < plan.stages; ++stage) {
        for (int i = 0; i < plan.taps; ++i) {
          for (int64_t unit = 0; unit < kShiftChannels / kShiftWidth; ++unit) {
            for (int64_t row = 0; row < plan.rows; ++row) {
              for (int64_t e = 0; e < kShiftWidth; ++e) {
                const int64_t c = stage * kShiftChannels + unit * kShiftWidth + e;
                *packed++ = element(g, row_tile * plan.rows + row, c, plan.tap[i].tap);
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace engine::cuda
