#include "layers/conv1d/cuda/gemm_deal.h"

#include <algorithm>

#include "engine/round_up.h"

namespace engine::cuda {
namespace {

constexpr int64_t kMostPieces = 8;

// Cycles of the last block of a tile that is cut: its piece, and what the others leave for it. As
// measured on an H200.
double cut_tile_cycles(const GemmTile& tile, const GemmPlan& plan, int64_t pieces) {
  constexpr double kExchange = 12000.0;  // starts, waits, and clearing of the counters
  constexpr double kWrittenBytesPerCycle = 31.0;
  constexpr double kReadBytesPerCycle = 40.0;
  const double bytes = 4.0 * tile.rows * tile.columns;
  const double products = plan.tile_cycles - plan.handing_cycles;
  return products / static_cast<double>(pieces) + plan.handing_cycles + kExchange +
         bytes / kWrittenBytesPerCycle +
         static_cast<double>(pieces - 1) * bytes / kReadBytesPerCycle;
}

// Every tile whole, in rounds.
GemmDeal deal_whole_tiles(const Conv1dProblem& p, const GemmPlan& plan, int64_t multiprocessors) {
  GemmDeal deal;
  deal.whole_tiles = implicit_gemm_tiles(p, plan);
  const int64_t kept_row_tiles = plan.resident ? int64_t{plan.row_tiles} * plan.groups : 1;
  deal.blocks = persistent_blocks(deal.whole_tiles, kept_row_tiles, multiprocessors);
  deal.cycles = static_cast<double>(ceil_divide(deal.whole_tiles, deal.blocks)) * plan.tile_cycles;
  return deal;
}

// The tiles of the last round, of which there are some, cut into at most `most_pieces` each.
GemmDeal cut_last_round(const GemmTile& tile, const GemmPlan& plan, int64_t tiles,
                        int64_t multiprocessors, int64_t most_pieces) {
  const int64_t piece_channel_stages = ceil_divide(plan.channel_stages, most_pieces);
  const int64_t pieces = ceil_divide(plan.channel_stages, piece_channel_stages);
  const int64_t rounds = tiles / multiprocessors;
  GemmDeal deal;
  deal.whole_tiles = rounds * multiprocessors;
  deal.cut_tiles = tiles - deal.whole_tiles;
  deal.pieces = static_cast<int>(pieces);
  deal.piece_stages = static_cast<int>(piece_channel_stages * plan.tap_stages);
  deal.blocks = rounds > 0 ? multiprocessors : deal.cut_tiles * pieces;
  deal.cycles =
      static_cast<double>(rounds) * plan.tile_cycles + cut_tile_cycles(tile, plan, pieces);
  return deal;
}

}  // namespace

int64_t persistent_blocks(int64_t tiles, int64_t kept_row_tiles, int64_t multiprocessors) {
  return kept_row_tiles *
         std::clamp<int64_t>(multiprocessors / kept_row_tiles, 1, tiles / kept_row_tiles);
}

GemmDeal deal_tiles(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                    int64_t multiprocessors) {
  GemmDeal best = deal_whole_tiles(p, plan, multiprocessors);
  const int64_t last_round = best.whole_tiles % multiprocessors;
  if (plan.resident || !tile.gathers || last_round == 0) return best;
  const int64_t tiles = best.whole_tiles;
  const int64_t most = std::min(multiprocessors / last_round, kMostPieces);
  for (int64_t pieces = 2; pieces <= most; ++pieces) {
    const GemmDeal cut = cut_last_round(tile, plan, tiles, multiprocessors, pieces);
    if (cut.pieces > 1 && cut.cycles < best.cycles) best = cut;
  }
  return best;
}

}  // namespace engine::cuda
