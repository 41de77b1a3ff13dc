#include "layers/conv1d/cuda/turn_plan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>
#include <vector>

#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cuda/gemm_deal.h"
#include "layers/conv1d/cuda/half_parts.h"

namespace engine::cuda {
namespace {

constexpr int kSectorBytes = 32;

// A tap's window and its place in it are found from these.
struct PlacedTap {
  int tap;
  int plane;
  int64_t offset;  // in x, or in the plane
};

// Taps by their planes and offsets. Of rows there is one plane, x itself.
std::vector<PlacedTap> placed_taps(const TurnPlan& plan) {
  std::vector<PlacedTap> taps;
  for (int u = 0; u < plan.fold.taps; ++u) {
    const int64_t position = u * plan.fold.spacing;
    if (plan.source == TurnSource::kRows) {
      taps.push_back({u, 0, plan.fold.first + position});
      continue;
    }
    const int* end = plan.planes.remainder + plan.planes.count;
    const int* found = std::find(plan.planes.remainder, end, position % plan.fold.stride);
    taps.push_back(
        {u, static_cast<int>(found - plan.planes.remainder), position / plan.fold.stride});
  }
  std::sort(taps.begin(), taps.end(), [](const PlacedTap& a, const PlacedTap& b) {
    return a.plane != b.plane ? a.plane < b.plane : a.offset < b.offset;
  });
  return taps;
}

// Windows from the foremost tap of a plane on, each for all taps that it reaches. False where there
// are too many.
bool lay_windows(TurnPlan& plan) {
  const bool rows = plan.source == TurnSource::kRows;
  // Windows of rows begin and end at multiples; those of units reach that many positions further.
  const int width = rows ? plan.unit_width() : 8;
  const int64_t most_reach = rows ? kMostTurnSides * width : kMostUnitReach;
  for (const PlacedTap& tap : placed_taps(plan)) {
    const int last = plan.windows - 1;
    const bool fits = plan.windows > 0 && tap.plane == plan.plane[last] &&
                      tap.offset - plan.offset[last] <= most_reach;
    if (!fits) {
      if (plan.windows == kMostTurnWindows) return false;
      plan.first_tap[plan.windows] = plan.taps;
      plan.plane[plan.windows] = tap.plane;
      plan.offset[plan.windows++] = rows ? floor_divide(tap.offset, width) * width : tap.offset;
    }
    const auto shift = static_cast<int>(tap.offset - plan.offset[plan.windows - 1]);
    plan.tap[plan.taps++] = {tap.tap, shift};
    plan.reach = std::max(plan.reach, static_cast<int>(round_up(shift, width)));
  }
  plan.first_tap[plan.windows] = plan.taps;
  return true;
}

// The planes that taps read. False where there are too many.
bool lay_planes(TurnPlan& plan) {
  std::set<int64_t> remainders;
  for (int u = 0; u < plan.fold.taps; ++u) {
    remainders.insert(u * plan.fold.spacing % plan.fold.stride);
  }
  if (remainders.size() > kMostPlanes) return false;
  plan.planes.stride = plan.fold.stride;
  plan.planes.first = plan.fold.first;
  for (const int64_t r : remainders) {
    plan.planes.remainder[plan.planes.count++] = static_cast<int>(r);
  }
  return true;
}

// Positions that the columns of a sample read; those of a tile beyond them may read anything.
int64_t plane_length(const TurnPlan& plan) {
  int64_t farthest = 0;
  for (int w = 0; w < plan.windows; ++w) farthest = std::max(farthest, plan.offset[w]);
  return round_up(plan.sample_columns + farthest + plan.reach, 8);
}

// Groups of at most that many taps.
void lay_groups(TurnPlan& plan, int most) {
  plan.groups = 0;
  for (int w = 0; w < plan.windows; ++w) {
    plan.first_group[w] = plan.groups;
    const int taps = plan.first_tap[w + 1] - plan.first_tap[w];
    const int size = ceil_divide(taps, ceil_divide(taps, most));
    for (int tap = 0; tap < taps; tap += size) {
      plan.group_tap[plan.groups++] = plan.first_tap[w] + tap;
    }
  }
  plan.first_group[plan.windows] = plan.groups;
  plan.group_tap[plan.groups] = plan.taps;
}

int most_group_taps(const TurnPlan& plan) {
  int most = 0;
  for (int i = 0; i < plan.groups; ++i) {
    most = std::max(most, plan.group_tap[i + 1] - plan.group_tap[i]);
  }
  return most;
}

int slots_within(int64_t bytes, int64_t slot_bytes) {
  return static_cast<int>(std::clamp<int64_t>(bytes / slot_bytes, 0, kMostTurnRing));
}

// Rings for windows and weights that are loaded together.
void lay_rings(TurnPlan& plan, int64_t bytes) {
  const bool turns = plan.source == TurnSource::kRows;
  if (plan.groups > plan.windows) {
    // Weights are what the L2 is waited for.
    const int64_t windows = plan.slot_bytes() * (turns ? 3 : 2);
    plan.weight_ring = slots_within(bytes - windows, plan.weight_slot_bytes);
  } else {
    // More windows than weights where windows wait for being turned.
    const int64_t windows = plan.slot_bytes() * (turns ? 3 : 2) / 2;
    plan.weight_ring = slots_within(bytes, windows + plan.weight_slot_bytes);
  }
  plan.ring = slots_within(bytes - plan.weight_ring * plan.weight_slot_bytes, plan.slot_bytes());
}

void lay_shared_memory(TurnPlan& plan, int64_t groups, int64_t shared_bytes, bool streamed) {
  constexpr int kFewestStages = 3;       // with resident weights
  constexpr int64_t kMostRowTiles = 64;  // of all groups: a block keeps the weights of one
  constexpr int kGroupBytes = 64 << 10;  // of windows whose weights are loaded in several groups
  const int64_t bytes = shared_bytes - plan.staging_bytes() - plan.split_sum_bytes();
  lay_groups(plan, kMostTurnTaps);
  plan.weight_slot_bytes = plan.weight_bytes;
  plan.weight_ring = plan.stages;
  plan.ring = slots_within(bytes - plan.stages * plan.weight_bytes, plan.slot_bytes());
  plan.resident = !streamed && plan.splits == 1 && plan.row_tiles * groups <= kMostRowTiles &&
                  plan.ring >= kFewestStages;
  if (plan.resident) return;
  const int group_taps = std::max(1, static_cast<int>(kGroupBytes / plan.tap_bytes()));
  int most = most_group_taps(plan);
  if (plan.scales()) most = std::min(most, group_taps);
  // As many taps at once as leave room for two groups.
  for (; most >= 1; most = std::min(most / 2, group_taps)) {
    lay_groups(plan, most);
    plan.weight_slot_bytes = most_group_taps(plan) * plan.tap_bytes();
    lay_rings(plan, bytes);
    if (plan.weight_ring >= 2 && plan.ring >= 2) return;
  }
}

// What a tile costs a multiprocessor, in cycles. Fitted to layers of bench/conv1d_gpu.csv,
// bench/conv1d_gpu_extra.csv, bench/conv1d_gpu_networks.csv and bench/conv1d_gpu_short.csv on an
// H200.
struct TurnCosts {
  double tile;        // sums are finished,
  double row;         // and put into shared memory, for each row of 128 columns,
  double phased_row;  // or where it has several phases
  double window;      // operands are looked up and awaited
  double tap;         // beside its products
  double addition;    // of two parts: the products of a group are awaited and added
  double l2_bytes_per_cycle = 45.0;
  double copy_latency = 1400.0;  // from when a slot is free until it is full again
};

TurnCosts costs_of(const TurnPlan& plan) {
  const bool turns = plan.source == TurnSource::kRows;
  if (!plan.scales()) {
    return turns ? TurnCosts{510, 7.8, 16, 470, 0, 0}
                 : TurnCosts{1600, 8.2, 11, 330, 0, 0, 60, 1050};
  }
  if (plan.parts == 1) {
    return turns ? TurnCosts{530, 11, 15, 820, 19, 0}
                 : TurnCosts{1750, 17, 22, 355, 0, 0, 60, 1050};
  }
  return turns ? TurnCosts{390, 14, 27, 380, 46, 700} : TurnCosts{1140, 12, 17, 470, 141, 474};
}

// Sums of two parts that are added: the rest of a group, and its big parts by fours.
int additions(const TurnPlan& plan, int window) {
  int count = 0;
  for (int g = plan.first_group[window]; g < plan.first_group[window + 1]; ++g) {
    count += 1 + ceil_divide(plan.group_tap[g + 1] - plan.group_tap[g], kTapsAddedAtOnce);
  }
  return count;
}

// What a window takes at least, as copies to its slots are under way one after the other. Of the
// slots one is in use.
double ring_cycles(const TurnPlan& plan, int window, double latency) {
  const int groups = plan.first_group[window + 1] - plan.first_group[window];
  const double weights = plan.resident ? 0.0 : latency * groups / (plan.weight_ring - 1);
  return std::max(latency / (plan.ring - 1), weights);
}

// What the first block of a cluster takes to add up the others' sums.
double adding_cycles(const TurnPlan& plan) {
  constexpr double kMeeting = 2200.0;
  constexpr double kBytesPerCycle = 25.0;
  if (plan.splits == 1) return 0.0;
  return kMeeting + static_cast<double>(plan.split_sum_bytes()) / kBytesPerCycle;
}

// A tile is multiplied while the one before is stored.
double tile_cycles(const TurnPlan& plan) {
  constexpr double kTileElements = 128.0 * 128.0;  // that additions were measured with
  const TurnCosts costs = costs_of(plan);
  const double elements = static_cast<double>(plan.rows) * plan.columns;
  const int part_products = plan.parts == 2 ? 3 : 1;
  // 2048 multiply-adds a cycle.
  const double products = elements * plan.stage_channels * part_products / 2048.0;
  const double tap_products = costs.tap + products;
  const double row = plan.phases() > 1 ? costs.phased_row : costs.row;
  double cycles = costs.tile + row * plan.rows * plan.columns / 128.0;
  for (int w = 0; w < plan.windows; ++w) {
    const int taps = plan.first_tap[w + 1] - plan.first_tap[w];
    const int64_t streamed = plan.resident ? 0 : taps * plan.tap_bytes();
    const auto bytes = static_cast<double>(plan.slot_bytes() + streamed);
    const double added = costs.addition * elements / kTileElements * additions(plan, w);
    const double copies =
        std::max(bytes / costs.l2_bytes_per_cycle, ring_cycles(plan, w, costs.copy_latency));
    cycles += plan.block_stages() * (costs.window + std::max(taps * tap_products + added, copies));
  }
  return cycles + adding_cycles(plan);
}

// The first or the second part of a scaled weight.
float half_part(float scaled, int part) {
  const auto big = static_cast<float>(Half(scaled));
  return part == 0 ? big : kRestScale * (scaled - big);
}

// Boxes are found by 32-bit indices.
bool in_range(const Conv1dProblem& p, const TurnPlan& plan) {
  constexpr int64_t kMostLength = INT32_MAX / 2;
  return plan.fold.phases <= kMostTurnPhases && p.in_length <= kMostLength &&
         p.out_length <= kMostLength && p.batch * p.groups <= INT32_MAX;
}

// Whether tiles overlap, so that rows of y are cut at sectors: parts of sectors cost the memory
// time, which counts where products take little.
bool overlaps(const Conv1dProblem& p, const TurnPlan& plan) {
  constexpr int64_t kFewProducts = 768;  // of an output
  return plan.phases() == 1 && p.out_length % plan.unit_width() != 0 &&
         plan.sample_columns > plan.columns && p.reduction() < kFewProducts;
}

// Whether windows can be brought from x as it lies.
bool copies_bring(const Conv1dProblem& p, const TurnPlan& plan) {
  return plan.fold.stride == 1 && p.in_length % plan.unit_width() == 0 &&
         p.padding_mode == PaddingMode::kZeros;
}

}  // namespace

int64_t TurnPlan::blocks(const Conv1dProblem& p, int64_t multiprocessors) const {
  if (splits > 1) return tiles * splits;
  return persistent_blocks(tiles, resident ? row_tiles * p.groups : 1, multiprocessors);
}

bool TurnPlan::can_join(const Conv1dProblem& p) const {
  const int64_t all_columns = p.batch * planes.length;
  return source == TurnSource::kUnits && parts == 1 && p.batch > 1 && sample_columns < columns &&
         all_columns <= INT32_MAX;
}

bool TurnPlan::has_clusters(int64_t multiprocessors) const {
  // A cluster lies in one part of the chip, and parts have multiprocessors over: of 132 an H200 has
  // room for 66 clusters of two, 39 of three, 30 of four, 17 of six and 15 of eight, says
  // cudaOccupancyMaxActiveClusters().
  return splits == 1 || tiles * splits <= multiprocessors * 4 / 5;
}

void TurnPlan::lay_tiles(const Conv1dProblem& p, bool join) {
  planes.joined = join ? p.batch : 1;
  advance = columns - (overlaps(p, *this) ? kSectorBytes / size : 0);
  const int64_t all_columns = (planes.joined - 1) * planes.length + sample_columns;
  column_tiles = ceil_divide(all_columns, advance);
  tiles = p.batch / planes.joined * p.groups * row_tiles * column_tiles;
}

TurnPlan plan_turn_gemm(const Conv1dProblem& p, const TurnTileSize& tile, int64_t shared_bytes,
                        bool streamed, int splits) {
  TurnPlan plan;
  plan.splits = splits;
  plan.source = tile.source;
  plan.fold = fold_phases(tap_problem(p).taps, 1);
  plan.size = static_cast<int>(size_of(p.dtype));
  plan.parts = p.precision == Precision::kFp32 ? 2 : 1;
  plan.columns = tile.columns;
  plan.stage_channels = tile.stage_channels;
  if (plan.fold.taps > kMostTurnTaps || !in_range(p, plan)) return plan;
  if (plan.source == TurnSource::kRows ? !copies_bring(p, plan) : !lay_planes(plan)) return plan;
  if (!lay_windows(plan)) return plan;
  plan.stages = static_cast<int>(ceil_divide(p.group_inputs(), plan.stage_channels));
  plan.rows = tile.rows;
  plan.weight_bytes = plan.taps * plan.tap_bytes();
  plan.half_channels = kTurnHalfRows / plan.phases();
  plan.row_tiles = static_cast<int>(ceil_divide(p.group_outputs(), plan.tile_channels()));
  plan.sample_columns = ceil_divide(p.out_length + plan.fold.lead, plan.fold.phases);
  plan.planes.units = plan.stages * plan.stage_units();
  plan.planes.parts = plan.parts;
  plan.planes.length = plane_length(plan);
  plan.lay_tiles(p, false);
  lay_shared_memory(plan, p.groups, shared_bytes, streamed);
  plan.tile_cycles = tile_cycles(plan);
  const bool can_split = plan.source == TurnSource::kUnits && splits <= plan.stages;
  plan.valid =
      (splits == 1 || can_split) && plan.ring >= 2 && (plan.resident || plan.weight_ring >= 2);
  return plan;
}

int64_t turn_weight_count(const Conv1dProblem& p, const TurnPlan& plan) {
  return p.groups * plan.row_tiles * plan.stages * plan.weight_bytes / kTurnOperandBytes;
}

void pack_turn_weights(const Conv1dProblem& p, const TurnPlan& plan,
                       const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight,
                       float* packed) {
  std::vector<float> scales(static_cast<size_t>(p.out_channels), 1.0f);
  if (plan.scales()) scales = turn_row_scales(p, weight);
  // Row `row` of a half of a tile, whose first channel is `first`.
  const auto element = [&](int64_t g, int64_t first, int row, int64_t c, int u, int part) {
    const int64_t m = first + row / plan.phases();
    const int64_t tap = plan.fold.tap(row % plan.phases(), u);
    const bool exists = row < plan.half_channels * plan.phases() && m < p.group_outputs() &&
                        c < p.group_inputs() && tap >= 0;
    if (!exists) return 0.0f;
    const float value = weight(g, m, c, tap);
    if (!plan.scales()) return value;
    return half_part(value / scales[static_cast<size_t>(g * p.group_outputs() + m)], part);
  };
  const int width = kUnitBytes / kTurnOperandBytes;
  const auto pack_tap = [&](int64_t g, int64_t row_tile, int64_t stage, int u) {
    for (int unit = 0; unit < plan.parts * plan.stage_channels / width; ++unit) {
      const int part = unit * width / plan.stage_channels;
      for (int place = 0; place < plan.rows; ++place) {
        const int64_t first =
            row_tile * plan.tile_channels() + place / kTurnHalfRows * plan.half_channels;
        const int row = turn_row_at(place % kTurnHalfRows, plan.phases() > 1);
        for (int e = 0; e < width; ++e) {
          const int64_t c = stage * plan.stage_channels + unit * width % plan.stage_channels + e;
          *packed++ = element(g, first, row, c, u, part);
        }
      }
    }
  };
  for (int64_t g = 0; g < p.groups; ++g) {
    for (int64_t row_tile = 0; row_tile < plan.row_tiles; ++row_tile) {
      for (int64_t stage = 0; stage < plan.stages; ++stage) {
        for (int i = 0; i < plan.taps; ++i) pack_tap(g, row_tile, stage, plan.tap[i].tap);
      }
    }
  }
}

std::vector<float> turn_row_scales(
    const Conv1dProblem& p,
    const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight) {
  std::vector<float> scales;
  for (int64_t row = 0; row < p.out_channels; ++row) {
    float largest = 0.0f;
    for (int64_t c = 0; c < p.group_inputs(); ++c) {
      for (int64_t k = 0; k < p.kernel_size; ++k) {
        const float value = weight(row / p.group_outputs(), row % p.group_outputs(), c, k);
        if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
      }
    }
    const HalfScale scale(std::bit_cast<uint32_t>(largest));
    scales.push_back(std::bit_cast<float>(scale.inverse_bits));
  }
  return scales;
}

}  // namespace engine::cuda
