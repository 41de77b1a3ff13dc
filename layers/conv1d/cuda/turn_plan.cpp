#include "layers/conv1d/cuda/turn_plan.h"

#include <algorithm>
#include <vector>

#include "engine/cuda/blas.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/gemm_deal.h"

namespace engine::cuda {
namespace {

constexpr int kSectorBytes = 32;

// Windows from the foremost tap on, each for all taps that it and its sides reach.
void lay_windows(TurnPlan& plan) {
  const int width = plan.unit_width();
  std::vector<TurnTap> taps;  // by their offsets
  for (int u = 0; u < plan.fold.taps; ++u) taps.push_back({u, 0});
  const auto offset = [&](const TurnTap& tap) {
    return plan.fold.first + tap.tap * plan.fold.spacing;
  };
  std::sort(taps.begin(), taps.end(),
            [&](const TurnTap& a, const TurnTap& b) { return offset(a) < offset(b); });
  for (const TurnTap& tap : taps) {
    const bool fits =
        plan.windows > 0 && offset(tap) - plan.offset[plan.windows - 1] <= kMostTurnSides * width;
    if (!fits) {
      plan.first_tap[plan.windows] = plan.taps;
      plan.offset[plan.windows++] = floor_divide(offset(tap), width) * width;
    }
    const auto shift = static_cast<int>(offset(tap) - plan.offset[plan.windows - 1]);
    plan.tap[plan.taps++] = {tap.tap, shift};
    plan.sides = std::max(plan.sides, static_cast<int>(ceil_divide(shift, width)));
  }
  plan.first_tap[plan.windows] = plan.taps;
}

void lay_shared_memory(TurnPlan& plan, int64_t shared_bytes, bool streamed) {
  constexpr int64_t kFewestStages = 3;   // with resident weights
  constexpr int64_t kMostRowTiles = 64;  // a block keeps the weights of one
  const int64_t bytes = shared_bytes - plan.staging_bytes();
  const auto ring = [](int64_t free_bytes, int64_t stage_bytes) {
    return static_cast<int>(std::clamp<int64_t>(free_bytes / stage_bytes, 0, kMostTurnRing));
  };
  const auto windows_beside = [&](int64_t weight_stages) {
    return ring(bytes - weight_stages * plan.weight_bytes, plan.window_bytes());
  };
  plan.resident =
      !streamed && plan.row_tiles <= kMostRowTiles && windows_beside(plan.stages) >= kFewestStages;
  // More windows than weights, since windows wait for being turned.
  plan.weight_ring =
      plan.resident ? plan.stages : ring(bytes, plan.window_bytes() * 3 / 2 + plan.weight_bytes);
  plan.ring = windows_beside(plan.weight_ring);
}

// Cycles of one multiprocessor for a tile, which multiplies while the one before is stored. As
// measured on an H200.
double tile_cycles(const TurnPlan& plan) {
  constexpr double kTile = 1000.0;  // sums are finished,
  constexpr double kRow = 12.0;     // and put into shared memory
  constexpr double kTap = 50.0;     // beside the tensor cores' time
  constexpr double kL2BytesPerCycle = 29.0;
  const double products = 4.0 * plan.rows;  // of a tap
  const double streamed = plan.resident ? 0.0 : static_cast<double>(plan.weight_bytes);
  const double bytes = static_cast<double>(plan.window_bytes()) + streamed;
  const double stage = std::max(plan.taps * (products + kTap), bytes / kL2BytesPerCycle);
  return plan.stages * stage + kTile + kRow * plan.rows;
}

}  // namespace

int64_t TurnPlan::blocks(const Conv1dProblem& p, int64_t multiprocessors) const {
  return persistent_blocks(tiles, resident ? row_tiles * p.groups : 1, multiprocessors);
}

TurnPlan plan_turn_gemm(const Conv1dProblem& p, int rows, int64_t shared_bytes, bool streamed) {
  TurnPlan plan;
  plan.fold = fold_phases(tap_problem(p).taps, 1);
  plan.size = static_cast<int>(size_of(p.dtype));
  plan.columns = kTurnColumnBytes / plan.size;
  constexpr int64_t kMostLength = INT32_MAX / 2;  // boxes are found by 32-bit indices
  const bool in_range =
      p.in_length <= kMostLength && p.out_length <= kMostLength && p.batch * p.groups <= INT32_MAX;
  const bool fits = plan.fold.phases == 1 && plan.fold.stride == 1 &&
                    plan.fold.taps <= kMostTurnTaps && p.in_length % plan.unit_width() == 0 &&
                    p.padding_mode == PaddingMode::kZeros && in_range;
  if (!fits) return plan;
  lay_windows(plan);
  plan.stages = static_cast<int>(ceil_divide(p.group_inputs(), kTurnChannels));
  plan.weight_bytes = int64_t{plan.taps} * kTurnChannels * rows * plan.size;
  plan.rows = rows;
  plan.row_tiles = static_cast<int>(ceil_divide(p.group_outputs(), rows));
  const bool overlap = p.out_length % plan.unit_width() != 0 && p.out_length > plan.columns;
  plan.advance = plan.columns - (overlap ? kSectorBytes / plan.size : 0);
  plan.column_tiles = ceil_divide(p.out_length, plan.advance);
  plan.tiles = p.batch * p.groups * plan.row_tiles * plan.column_tiles;
  lay_shared_memory(plan, shared_bytes, streamed);
  plan.tile_cycles = tile_cycles(plan);
  plan.valid = plan.ring >= 2 && (plan.resident || plan.weight_ring >= 2);
  return plan;
}

int64_t turn_weight_count(const Conv1dProblem& p, const TurnPlan& plan) {
  return p.groups * plan.row_tiles * plan.stages * plan.weight_bytes / plan.size;
}

void pack_turn_weights(const Conv1dProblem& p, const TurnPlan& plan,
                       const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight,
                       float* packed) {
  const auto element = [&](int64_t g, int64_t m, int64_t c, int u) {
    const int64_t tap = plan.fold.tap(0, u);
    const bool exists = m < p.group_outputs() && c < p.group_inputs() && tap >= 0;
    if (!exists) return 0.0f;
    const float value = weight(g, m, c, tap);
    return p.precision == Precision::kTf32 ? round_to_tf32(value) : value;
  };
  const int width = plan.unit_width();
  for (int64_t g = 0; g < p.groups; ++g) {
    for (int64_t row_tile = 0; row_tile < plan.row_tiles; ++row_tile) {
      for (int64_t stage = 0; stage < plan.stages; ++stage) {
        for (int i = 0; i < plan.taps; ++i) {
          for (int64_t unit = 0; unit < kTurnChannels / width; ++unit) {
            for (int place = 0; place < plan.rows; ++place) {
              const int64_t m = row_tile * plan.rows + turn_row_at(place);
              for (int64_t e = 0; e < width; ++e) {
                const int64_t c = stage * kTurnChannels + unit * width + e;
                *packed++ = element(g, m, c, plan.tap[i].tap);
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace engine::cuda
