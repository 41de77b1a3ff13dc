#include "layers/conv1d/cuda/implicit_gemm_seconds.h"

#include <algorithm>
#include <cmath>

#include "engine/cuda/blas.h"
#include "engine/round_up.h"
#include "layers/conv1d/cuda/choose_gemm.h"

namespace engine::cuda {
namespace {

double window_bytes(const GemmPlan& plan) {
  return static_cast<double>(plan.window_units()) * kUnitBytes;
}

// Share of a window's positions that are in x. Loads of the others cost their instructions only.
double inside_share(const Conv1dProblem& p, const GemmPlan& plan) {
  const auto span = static_cast<double>(plan.window_rows * plan.fold.stride);
  return std::min(1.0, static_cast<double>(p.in_length) / span);
}

// Bytes of windows that all loading warps together bring in a cycle, by way of registers or copies
// of elements: of whole windows, and of single elements.
struct LoadRates {
  double whole;
  double single;
};

LoadRates load_rates(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  constexpr LoadRates kCopies{6.75, 6.75}, kPairsOfF32{9.5, 6.75};
  constexpr LoadRates kHalves{8.3, 3.4}, kPairsOfHalves{9.25, 3.4};
  constexpr LoadRates kMappedF32{4.0, 4.0}, kMappedHalves{2.3, 2.3};  // padding is no zeros
  const bool even = p.in_length % 2 == 0;
  if (p.padding_mode != PaddingMode::kZeros) {
    return size_of(p.dtype) == 4 ? kMappedF32 : kMappedHalves;
  }
  if (size_of(p.dtype) == 2) return even ? kPairsOfHalves : kHalves;
  return even && (tile.wide_loads || !plan.resident) ? kPairsOfF32 : kCopies;
}

// Cycles from one window to the next, of warps that each bring a window of their own.
double load_cycles(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  constexpr double kOutside = 0.4;  // of a load's time, that none in x saves
  if (plan.by_rows) return row_cycles(plan, {1000.0, 120.0, 180.0});
  const LoadRates rates = load_rates(p, plan, tile);
  const double single = single_share(p, plan);
  return window_bytes(plan) * ((1.0 - single) / rates.whole + single / rates.single) *
         (1.0 - kOutside * (1.0 - inside_share(p, plan)));
}

// Cycles of a tile's stores. Phases are interleaved on the way, by the warps whose rows exist.
double store_cycles(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  constexpr double kOddRows = 1.85;    // of y, which are stored element by element
  constexpr double kWarpShare = 0.62;  // of a warp's time, that is left where others have no rows
  const auto outputs = static_cast<double>(tile.rows * tile.columns);
  if (plan.fold.phases > 1) {
    const int64_t rows = round_up(std::min<int64_t>(tile.rows, plan.group_rows), 16);
    const double used = static_cast<double>(rows) / tile.rows;
    return outputs * (kWarpShare + (1.0 - kWarpShare) * used) / (tile.columns == 128 ? 4.4 : 2.1);
  }
  const auto bytes = static_cast<double>(size_of(p.dtype));
  const double rate = tile.columns * bytes <= 512 ? 28.0 : 18.7;
  return outputs * bytes / rate * (p.out_length % 2 != 0 ? kOddRows : 1.0);
}

// Cycles of a tile that multiplies what is there, and of one that waits for loads.
struct TileCycles {
  double multiplying;
  double loading;
};

TileCycles tile_cycles(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  constexpr double kTile = 1640.0;
  constexpr double kLatency = 1240.0;        // of a slot of the ring
  constexpr double kL2BytesPerCycle = 28.0;  // for each block
  const double stage = plan.by_rows ? 420.0 : 530.0;
  const double products = plan.steps * (tile.rows / 64) * (tile.columns / 2.0);
  const double streamed = plan.resident ? 0.0 : static_cast<double>(plan.weight_bytes);
  const double loads = load_cycles(p, plan, tile);
  const double slot = (kLoadingWarps * loads + kLatency + products) / plan.ring;
  const double l2 = (window_bytes(plan) + streamed) / kL2BytesPerCycle;
  return {kTile + plan.stages() * (std::max({products, l2, slot}) + stage),
          kTile + plan.stages() * loads};
}

// Cycles of a block's tiles. Two teams hide stores behind each other's stages, but for the last.
double round_cycles(double rounds, double tile, double store, int teams) {
  if (teams == 1) return rounds * (tile + store);
  return rounds * std::max(tile, store) + std::min(tile, store);
}

// Bytes through memory. Tiles that do not overlap meet within sectors of 32 bytes where rows of y
// begin anywhere. The memory has such a sector from both, and waits for the rest of it.
double moved_bytes(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  constexpr int64_t kSector = 32;
  constexpr double kPartOfSector = 5.2;  // takes as long as so many whole ones
  const auto size = static_cast<int64_t>(size_of(p.dtype));
  const double bytes = implicit_gemm_elements(p) * static_cast<double>(size);
  const bool meet = plan.advance == tile.columns && plan.column_tiles > 1;
  if (!meet || p.out_length * size % kSector == 0) return bytes;
  const auto y = static_cast<double>(p.batch * p.out_channels * p.out_length * size);
  const auto piece = static_cast<double>(tile.columns * plan.fold.phases * size);
  return bytes + kPartOfSector * y * static_cast<double>(2 * kSector) / piece;
}

}  // namespace

double implicit_gemm_seconds(const Conv1dProblem& p, const Sm90Kernel& kernel,
                             const GemmPlan& plan) {
  constexpr double kLaunch = 3.7e-6;
  const GemmTile& tile = kernel.tile;
  // Reached at best.
  const double bytes_per_second =
      p.dtype == DType::kF32 ? 3.1e12 : (tile.columns == 128 ? 2.4e12 : 2.9e12);
  const int64_t rounds = ceil_divide(implicit_gemm_tiles(p, plan), int64_t{kMultiprocessors});
  const int64_t windows = rounds * plan.stages();
  const double loads = load_cycles(p, plan, tile);
  const double store = store_cycles(p, plan, tile);
  const TileCycles cycles = tile_cycles(p, plan, tile);
  const auto all = [&](double of_tile) {
    return round_cycles(static_cast<double>(rounds), of_tile, store, kernel.teams);
  };
  // The first window comes from one warp; so do the last, of fewer than there are warps.
  const int64_t idle_warps = round_up(windows, int64_t{kLoadingWarps}) - windows;
  const double multiplying = all(cycles.multiplying) + kLoadingWarps * loads;
  const double loading = all(cycles.loading) + static_cast<double>(idle_warps) * loads;
  const double bytes = moved_bytes(p, plan, tile);
  return kLaunch + std::max(std::max(multiplying, loading) / kClock, bytes / bytes_per_second);
}

}  // namespace engine::cuda
