#include "layers/conv1d/cuda/gather_gemm_seconds.h"

#include <algorithm>

#include "engine/cuda/blas.h"
#include "engine/round_up.h"
#include "layers/conv1d/cuda/choose_gemm.h"
#include "layers/conv1d/cuda/implicit_gemm_step.h"

namespace engine::cuda {
namespace {

// Windows that reach over the ends of x's rows, on average over some stages.
struct RowEnds {
  double windows = 0.0;  // of one that does
  double cleared = 0.0;  // positions beyond the ends
  double ragged = 0.0;   // ends within a unit of 16 bytes, whose elements are brought one by one
};

void add(RowEnds& sum, const RowEnds& more, double times) {
  sum.windows += times * more.windows;
  sum.cleared += times * more.cleared;
  sum.ragged += times * more.ragged;
}

// Of the stages of one column tile.
RowEnds ends_of_tile(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                     int64_t column_tile) {
  const int64_t column = column_tile * plan.advance;
  const int64_t absent = std::max(column + tile.columns - plan.columns, int64_t{0});
  const int64_t length = plan.row_length - absent * plan.fold.stride;
  const int64_t shift = int64_t{plan.stage_taps} * plan.unit_taps * plan.fold.spacing;
  const bool ragged = p.in_length * static_cast<int64_t>(size_of(p.dtype)) % kUnitBytes != 0;
  RowEnds ends;
  for (int64_t stage = 0; stage < plan.tap_stages; ++stage) {
    const int64_t position = column * plan.fold.stride + plan.fold.first + stage * shift;
    const int64_t before = std::clamp(-position, int64_t{0}, length);
    const int64_t behind = std::clamp(position + length - p.in_length, int64_t{0}, length);
    const int count = (before > 0 ? 1 : 0) + (behind > 0 ? 1 : 0);
    const RowEnds window{count > 0 ? 1.0 : 0.0, static_cast<double>(before + behind),
                         ragged ? static_cast<double>(count) : 0.0};
    add(ends, window, 1.0 / plan.tap_stages);
  }
  return ends;
}

// Of the stages of the block that meets the most ends, which has `tiles` tiles: one of the worst.
RowEnds ends_of_block(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                      int64_t tiles) {
  constexpr int64_t kMostTiles = 256;  // at an end of a row that are looked at
  RowEnds sum, worst;
  const auto meets_end = [&](int64_t column_tile) {
    const RowEnds ends = ends_of_tile(p, tile, plan, column_tile);
    add(sum, ends, 1.0 / static_cast<double>(plan.column_tiles));
    worst = {std::max(worst.windows, ends.windows), std::max(worst.cleared, ends.cleared),
             std::max(worst.ragged, ends.ragged)};
    return ends.windows > 0.0;
  };
  int64_t first = 0, last = plan.column_tiles - 1;
  while (first <= last && first < kMostTiles && meets_end(first)) ++first;
  while (last > first && plan.column_tiles - last <= kMostTiles && meets_end(last)) --last;
  RowEnds ends;
  add(ends, sum, static_cast<double>(tiles - 1) / static_cast<double>(tiles));
  add(ends, worst, 1.0 / static_cast<double>(tiles));
  return ends;
}

// Cycles that a loading warp takes for a stage beside its copies. Warps take turns in pairs where
// stages differ in their taps.
double end_cycles(const GemmPlan& plan, const RowEnds& ends) {
  constexpr double kWindow = 1520.0;  // is no copy of the one before
  constexpr double kCleared = 52.0;   // 32 at once
  constexpr double kRagged = 660.0;   // waits for elements
  const double rows = static_cast<double>(plan.stage_units * plan.unit_channels) / kLoadingWarps;
  const double cycles =
      kWindow * ends.windows + kCleared * ends.cleared * rows / 32.0 + kRagged * ends.ragged;
  return cycles / (plan.tap_stages > 1 ? 2.0 : 1.0);
}

// Whether rows of that length begin anywhere, not at units of 16 bytes.
bool begin_anywhere(int64_t length, const GemmTile& tile) {
  return length * tile.element_bytes % kUnitBytes != 0;
}

// Chunks of a tile's rows that there are.
int64_t chunks_of(const GemmTile& tile, const GemmPlan& plan) {
  return ceil_divide(std::min<int64_t>(tile.rows, plan.group_rows), int64_t{tile.chunk_rows});
}

// From one stage to the next: the longest of what its products take, its loads, and the round of a
// slot of the ring. Of the only tile of a block it is `cold`: no other block has brought what it
// loads to the L2 cache before.
double stage_cycles(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile,
                    const RowEnds& ends, bool cold) {
  constexpr double kStage = 254.0;
  constexpr double kCold = 550.0;     // of the stages that first load a channel, together
  constexpr double kAnyRows = 174.0;  // more, where rows of x begin anywhere
  constexpr double kWindowBytesPerCycle = 31.2;
  constexpr double kLatency = 1740.0;
  constexpr double kSharedReads = 0.75;
  constexpr double kTurn = 16.0;       // of shared memory, of a step and 64 columns
  constexpr double kGathering = 0.84;  // of what a thread issues, beside products
  const bool wide = tile.element_bytes == 4;
  const double blocks = tile.columns / 64.0;
  const double reads = kTurn * plan.gathering_turns;
  const double multiplying =
      plan.steps * blocks * std::max(tile.rows / 2.0, (reads + tile.rows / 4.0) * kSharedReads);
  const double issued = tile.is_tall() ? (wide ? 0.0 : reads * kSharedReads) : (wide ? 9.0 : 33.0);
  const double loads = static_cast<double>(plan.window_bytes) / kWindowBytesPerCycle;
  const double loading = end_cycles(plan, ends);
  const double slot = (loads + kLatency + multiplying + loading) / plan.ring;
  return std::max({multiplying, loads, loading, slot}) + kGathering * issued * blocks * plan.steps +
         kStage + (cold ? kCold / static_cast<double>(plan.tap_stages) : 0.0) +
         (begin_anywhere(p.in_length, tile) ? kAnyRows : 0.0);
}

// Of the chunks of a tile's rows that there are.
double handing_cycles(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  constexpr double kChunk = 455.0;
  constexpr double kAnyRows = 248.0;   // more, where rows of y begin anywhere
  constexpr double kTallShare = 0.58;  // of f32, whose chunks of half the columns fit the threads
  constexpr double kPhases = 2.6;
  constexpr double kStoredBytesPerCycle = 13.8;
  const int64_t chunks = chunks_of(tile, plan);
  const double chunk = kChunk * (tile.is_tall() && tile.element_bytes == 4 ? kTallShare : 1.0);
  const double waits = static_cast<double>(std::max<int64_t>(chunks - plan.chunks, 0)) *
                       static_cast<double>(tile.chunk_bytes) / kStoredBytesPerCycle;
  return (plan.fold.phases > 1 ? kPhases : 1.0) *
             std::max(static_cast<double>(chunks) * chunk, waits) +
         (begin_anywhere(p.out_length, tile) ? kAnyRows : 0.0) * static_cast<double>(chunks);
}

// Of the block that is done last.
double block_cycles(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                    const GemmDeal& deal) {
  constexpr double kLeastTile = 3900.0;  // warps find out about it
  constexpr double kExchange = 3000.0;   // pieces wait for each other
  constexpr double kExchangedBytesPerCycle = 35.0;
  const int64_t rounds = ceil_divide(deal.whole_tiles, deal.blocks);
  const int64_t cut = deal.cut_tiles > 0 ? 1 : 0;
  const int64_t tiles = std::max<int64_t>(rounds + cut, 1);
  const double stage = stage_cycles(p, plan, tile, ends_of_block(p, tile, plan, tiles), tiles == 1);
  const double handing = handing_cycles(p, plan, tile);
  const double whole = std::max(kLeastTile, plan.stages() * stage + handing);
  const double sums = 4.0 * deal.pieces * tile.rows * tile.columns;
  const double piece =
      deal.piece_stages * stage + handing + kExchange + sums / kExchangedBytesPerCycle;
  return static_cast<double>(rounds) * whole + static_cast<double>(cut) * piece;
}

// The same of f32 in two parts, whose products outlast loads: beside what deals count, the loading
// warps are waited for at ends of rows.
double split_block_cycles(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                          const GemmDeal& deal) {
  constexpr double kCounted = 0.97;   // of a deal's cycles
  constexpr double kEnds = 0.28;      // of a loading warp's
  constexpr double kAnyRows = 387.0;  // for a chunk, where rows of y begin anywhere
  const int64_t rounds = ceil_divide(deal.whole_tiles, deal.blocks);
  const int64_t tiles = rounds + (deal.cut_tiles > 0 ? 1 : 0);
  const int64_t stages = rounds * plan.stages() + deal.piece_stages;
  const double ends = end_cycles(plan, ends_of_block(p, tile, plan, tiles));
  const auto chunks = static_cast<double>(tiles * chunks_of(tile, plan));
  return kCounted * deal.cycles + kEnds * static_cast<double>(stages) * ends +
         (begin_anywhere(p.out_length, tile) ? kAnyRows * chunks : 0.0);
}

}  // namespace

double gather_launch_seconds(const Conv1dProblem& p, double cycles) {
  constexpr double kLaunch = 7e-6;             // with the first tile, from a cold instruction cache
  constexpr double kBytesPerSecond = 3.40e12;  // reached at best
  const double bytes = implicit_gemm_elements(p) * static_cast<double>(size_of(p.dtype));
  return kLaunch + std::max(cycles / kClock, bytes / kBytesPerSecond);
}

double gather_gemm_seconds(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                           const GemmDeal& deal) {
  if (tile.parts == 2) return gather_launch_seconds(p, split_block_cycles(p, tile, plan, deal));
  constexpr double kLaunch = 5.0e-6;
  constexpr double kBytesPerSecond = 3.38e12;       // reached at best,
  constexpr double kFirstBytesPerSecond = 3.45e12;  // by the first windows of all blocks
  constexpr double kLastBytesPerSecond = 5.0e12;    // and their last tiles
  const auto size = static_cast<double>(size_of(p.dtype));
  const auto blocks = static_cast<double>(deal.blocks);
  const double x = size * static_cast<double>(p.batch * p.in_channels * p.in_length);
  const double y = size * static_cast<double>(p.batch * p.out_channels * p.out_length);
  const double first = std::min(x, blocks * static_cast<double>(plan.window_bytes));
  const double last = std::min(
      y, blocks * size * static_cast<double>(std::min<int64_t>(tile.rows, plan.group_rows)) *
             static_cast<double>(std::min<int64_t>(tile.columns, plan.columns)));
  return kLaunch + std::max(block_cycles(p, tile, plan, deal) / kClock +
                                first / kFirstBytesPerSecond + last / kLastBytesPerSecond,
                            (x + y) / kBytesPerSecond);
}

}  // namespace engine::cuda
