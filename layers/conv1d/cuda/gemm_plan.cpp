#include "layers/conv1d/cuda/gemm_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "engine/cuda/blas.h"
#include "engine/round_up.h"
#include "layers/conv1d/conv1d_taps.h"

namespace engine::cuda {
namespace {

// Eight threads that store 16 bytes each work at full speed when their units differ modulo 8.
int conflict_free_pitch(int rows, int residues) {
  int best = rows;
  size_t most = 0;
  for (int pitch = rows; pitch < rows + 8; ++pitch) {
    std::set<int> banks;
    for (int slot = 0; slot < 8; ++slot) {
      banks.insert((slot % residues * pitch + slot / residues) % 8);
    }
    if (banks.size() > most) {
      most = banks.size();
      best = pitch;
    }
  }
  return best;
}

// Where column 0 of unit `tap` of a stage's taps lies in the window, in units.
int tap_place(const GemmPlan& plan, int64_t tap) {
  const int64_t offset = tap * plan.unit_taps * plan.fold.spacing;
  const int64_t rest = offset % plan.fold.stride;
  const int* found = std::find(plan.residue, plan.residue + plan.residues, rest);
  return static_cast<int>((found - plan.residue) * plan.residue_pitch + offset / plan.fold.stride);
}

// The first of the two taps whose units make a pair when a stage has one unit of channels: the one
// that lies lower, since the distance to the second is unsigned.
int64_t first_of_pair(const GemmPlan& plan, int64_t even_tap) {
  return tap_place(plan, even_tap) <= tap_place(plan, even_tap + 1) ? even_tap : even_tap + 1;
}

// The arrays of the window. False where there are too many.
bool lay_units(GemmPlan& plan, const GemmTile& tile) {
  std::set<int64_t> residues;
  int64_t farthest = 0;
  for (int64_t t = 0; t < plan.stage_taps; ++t) {
    const int64_t offset = t * plan.unit_taps * plan.fold.spacing;
    residues.insert(offset % plan.fold.stride);
    farthest = std::max(farthest, offset / plan.fold.stride);
  }
  if (residues.size() > kMaxResidues || tile.columns + farthest > 16384) return false;
  plan.residues = 0;
  for (const int64_t r : residues) plan.residue[plan.residues++] = static_cast<int>(r);
  plan.window_rows = static_cast<int>(tile.columns + farthest);
  plan.residue_pitch = conflict_free_pitch(plan.window_rows, plan.residues);
  plan.unit_pitch = (plan.residues * plan.residue_pitch) | 1;  // lanes store several units at once
  plan.window_bytes = int64_t{tile.parts} * plan.stage_units * plan.unit_pitch * kUnitBytes;
  // Offsets of units have 14 bits in a wgmma descriptor.
  return plan.window_bytes < 200 * 1024;
}

// In how many turns shared memory serves a warp that gathers a word of the first operand, if rows
// of the window lie `pitch` words apart: lane 4 g + t reads its elements from word t of a unit in
// column g, of 16-bit types one after the other.
int gathering_turns(const GemmPlan& plan, const GemmTile& tile, int64_t pitch) {
  constexpr int kBanks = 32;
  const int per_word = 4 / tile.element_bytes;
  int turns = 0;
  for (int half = 0; half < per_word; ++half) {
    std::set<int64_t> words;
    for (int lane = 0; lane < 32; ++lane) {
      const int element = lane % 4 * per_word + half;
      const int64_t position =
          lane / 4 * plan.fold.stride + element % plan.unit_taps * plan.fold.spacing;
      words.insert(element / plan.unit_taps * pitch + position * tile.element_bytes / 4);
    }
    int in_bank[kBanks] = {}, most = 0;
    for (const int64_t word : words) most = std::max(most, ++in_bank[word % kBanks]);
    turns += most;
  }
  return turns;
}

// How rows of a window lie to each other: lanes that read neighbouring positions of four rows meet
// different banks where those rows, of which 16-bit types take every other, lie 8 words apart.
// Of a stride they meet the fewest where rows lie otherwise.
void lay_lanes(GemmPlan& plan, const GemmTile& tile) {
  constexpr int kRow = 1024;  // more than lanes read of one
  plan.words_apart = plan.unit_channels > 4 ? 4 : 8;
  plan.gathering_turns = gathering_turns(plan, tile, kRow + plan.words_apart);
  for (int words = 0; words < 32 && plan.fold.stride > 1; words += kUnitBytes / 4) {
    const int turns = gathering_turns(plan, tile, kRow + words);
    if (turns >= plan.gathering_turns) continue;
    plan.words_apart = words;
    plan.gathering_turns = turns;
  }
}

// The window as rows of x.
bool lay_gathered_rows(GemmPlan& plan, const GemmTile& tile) {
  constexpr int64_t kMostRowLength = 100 * 1024;
  const int64_t taps = int64_t{plan.stage_taps} * plan.unit_taps;
  const int64_t length = (tile.columns - 1) * plan.fold.stride + (taps - 1) * plan.fold.spacing + 1;
  if (length > kMostRowLength) return false;
  const int64_t unit = kUnitBytes / tile.element_bytes;
  const int64_t words = ceil_divide(length + unit - 1, unit) * 4;
  plan.row_length = static_cast<int>(length);
  const int64_t to_apart = (32 + plan.words_apart - words % 32) % 32;
  plan.row_pitch = static_cast<int>(words + (plan.unit_channels > 1 ? to_apart : 0));
  plan.window_bytes = int64_t{plan.stage_units} * plan.unit_channels * plan.row_pitch * 4;
  return plan.window_bytes < 200 * 1024;
}

bool lay_window(GemmPlan& plan, const GemmTile& tile) {
  return tile.gathers ? lay_gathered_rows(plan, tile) : lay_units(plan, tile);
}

// Lays the buffers of rows. Bulk copies want 16-byte boundaries at both ends of a row.
void lay_rows(GemmPlan& plan, const Conv1dProblem& p, const GemmTile& tile) {
  const int64_t width = kUnitBytes / static_cast<int64_t>(size_of(p.dtype));
  const bool neighbours = plan.unit_taps == 1 && plan.residues == plan.fold.stride &&
                          p.padding_mode == PaddingMode::kZeros;
  // All windows must begin equally far from a boundary.
  const bool in_step = plan.advance * plan.fold.stride % width == 0 &&
                       (plan.tap_stages == 1 || plan.stage_taps * plan.fold.spacing % width == 0);
  plan.by_rows = tile.by_rows && neighbours && in_step && p.in_length % width == 0;
  if (!plan.by_rows) return;
  plan.row_lead = static_cast<int>((plan.fold.first % width + width) % width);
  plan.row_units = static_cast<int>(
      ceil_divide(plan.row_lead + int64_t{plan.residues} * plan.window_rows, width));
  // Eight lanes that read the same unit of neighbouring units of channels meet different banks.
  const int64_t unit_of_channels = width * plan.row_units;
  plan.row_turn = static_cast<int>(((8 / plan.stage_units - unit_of_channels) % 8 + 8) % 8);
  plan.row_bytes = plan.stage_units * (unit_of_channels + plan.row_turn) * kUnitBytes;
}

// Of a kernel that gathers: units in the order of their weights.
void list_gathered_units(GemmPlan& plan, const GemmTile& tile) {
  const int units = plan.stage_units * plan.stage_taps;
  plan.steps = units / 2;
  for (int i = 0; i < units; ++i) {
    const int64_t row = i % plan.stage_units * plan.unit_channels;
    const int64_t position = i / plan.stage_units * plan.unit_taps * plan.fold.spacing;
    plan.step[i] = static_cast<GemmStep>(row * plan.row_pitch * 4 + position * tile.element_bytes);
  }
}

void list_steps(GemmPlan& plan, const GemmTile& tile) {
  if (tile.gathers) return list_gathered_units(plan, tile);
  plan.steps = 0;
  const auto add = [&](int start, int k_step) {
    plan.step[plan.steps++] = static_cast<GemmStep>(k_step << 16 | start);
  };
  if (plan.stage_units == 1) {
    for (int t = 0; t < plan.stage_taps; t += 2) {
      const int one = tap_place(plan, t), other = tap_place(plan, t + 1);
      add(std::min(one, other), std::abs(one - other));
    }
    return;
  }
  for (int t = 0; t < plan.stage_taps; ++t) {
    for (int unit = 0; unit < plan.stage_units; unit += 2) {
      add(tap_place(plan, t) + unit * plan.unit_pitch, plan.unit_pitch);
    }
  }
}

// The unit of taps, counted in its stage, of unit `unit` of the stage's weights.
int64_t tap_of_unit(const GemmPlan& plan, const GemmTile& tile, int64_t unit) {
  if (plan.stage_units > 1 || tile.gathers) return unit / plan.stage_units;
  const int64_t even = unit / 2 * 2;
  const int64_t first = first_of_pair(plan, even);
  return unit % 2 == 0 ? first : 2 * even + 1 - first;
}

// Chunks take what four stages leave: tiles of few products wait for the stores of the last, those
// of many for their loads.
void lay_chunks(GemmPlan& plan, const GemmTile& tile, int64_t stage_bytes, int64_t shared_bytes) {
  constexpr int64_t kFewestStages = 4;
  if (tile.most_chunks == 0) return;
  const int64_t left = shared_bytes - kFewestStages * stage_bytes;
  plan.chunks = static_cast<int>(
      std::clamp<int64_t>(left / tile.chunk_bytes, plan.fewest_chunks, tile.most_chunks));
  plan.all_chunk_bytes = plan.chunks * tile.chunk_bytes;
}

void lay_shared_memory(GemmPlan& plan, const GemmTile& tile) {
  const int64_t shared_bytes = tile.shared_bytes - plan.all_row_bytes();
  const int64_t all_weights = plan.weight_bytes * plan.stages();
  // A block keeps the weights of one row tile, so there must be blocks for all of them.
  constexpr int64_t kMostRowTiles = 64;
  const auto lay_ring = [&](int64_t stage_bytes, int64_t bytes) {
    lay_chunks(plan, tile, stage_bytes, bytes);
    plan.ring = static_cast<int>(
        std::clamp<int64_t>((bytes - plan.all_chunk_bytes) / stage_bytes, 0, tile.ring));
  };
  lay_ring(plan.window_bytes, shared_bytes - all_weights);
  plan.resident = plan.ring >= 3 && plan.row_tiles * plan.groups <= kMostRowTiles;
  if (!plan.resident) lay_ring(plan.window_bytes + plan.weight_bytes, shared_bytes);
}

// Cycles of a stage without what hides badly: fewer than four stages in flight do not hide a load.
double stage_cycles(const GemmPlan& plan, double products, double loads, double l2,
                    double overhead) {
  const double waits = plan.ring >= 4 ? 0.0 : (plan.ring == 3 ? 200.0 : 1600.0);
  return plan.stages() * (std::max({products, loads, l2}) + overhead + waits);
}

// As measured on an H200.
double ranked_row_cycles(const GemmPlan& plan) { return row_cycles(plan, {1700.0, 200.0, 300.0}); }

// Bytes of a window that the loading warps of a block bring in a cycle. As measured on an H200, for
// each way that implicit_gemm_sm90.cuh has.
double load_rate(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  const bool wide = size_of(p.dtype) == 4;
  const bool whole = plan.unit_taps == 1 && plan.residues == plan.fold.stride &&
                     p.group_inputs() % (plan.unit_channels * plan.stage_units) == 0;
  if (p.padding_mode != PaddingMode::kZeros) return wide ? 4.0 : 2.3;
  if (!whole) return wide ? 25.0 : (tile.wide_loads ? 3.6 : 2.7);
  if (!wide && !tile.wide_loads && plan.residues > 1) return 3.5;
  if (p.in_length % 2 != 0) return wide ? 6.5 : 7.0;
  if (tile.wide_loads) return plan.residues < 8 ? 12.0 : 6.0;  // many arrays share banks
  return wide && plan.resident ? 8.0 : 7.0;
}

// What a stage takes from the tensor cores, in cycles, and from memory, in bytes.
struct StageWork {
  double products;
  double window;
  double streamed;  // weights

  StageWork(const GemmPlan& plan, const GemmTile& tile)
      : products(plan.steps * (tile.parts == 2 ? 3.0 : 1.0) * (tile.rows / 64) *
                 (tile.columns / 2.0)),
        window(static_cast<double>(plan.window_units()) * kUnitBytes),
        streamed(plan.resident ? 0.0 : static_cast<double>(plan.weight_bytes)) {}
};

// Cycles that the multiplying threads of a block take to hand over a tile's sums, chunk by chunk;
// they wait for the stores of the first where there are more chunks than slots.
double handing_cycles(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  const bool tall = tile.is_tall();
  const double share = !tall ? 1.0 : (tile.element_bytes == 4 ? 0.58 : 0.8);
  const double chunk = share * (by_matrices(p, plan) ? 400.0 : 525.0);
  constexpr double kStoredBytesPerCycle = 13.8;
  constexpr double kPhases = 2.45;  // lines of phases are stored by code for all cases
  constexpr double kEnds = 1.4;     // ends of lines that do not begin at sectors
  const int64_t rows = std::min<int64_t>(tile.rows, plan.group_rows);
  const int64_t chunks = ceil_divide(rows, int64_t{tile.chunk_rows});
  const double waits = static_cast<double>(std::max<int64_t>(chunks - plan.chunks, 0)) *
                       static_cast<double>(tile.chunk_bytes) / kStoredBytesPerCycle;
  const bool has_ends =
      !tall && plan.advance == tile.columns && p.out_length % (32 / tile.element_bytes) != 0;
  const double hindrance = plan.fold.phases > 1 ? kPhases : (has_ends ? kEnds : 1.0);
  return hindrance * std::max(static_cast<double>(chunks) * chunk, waits);
}

// Cycles of a block for a tile whose operands are gathered. A stage takes what its products take,
// what they and the gathering read from shared memory, or what its window and weights take on their
// way there; a slot of the ring is loaded, waits and is read in turn. Besides, threads gather.
// Fitted to plans of the layers of bench/conv1d_gpu.csv and bench/conv1d_gpu_extra.csv on an H200.
double gathered_cycles(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  constexpr double kWindowBytesPerCycle = 48.0;
  constexpr double kWeightBytesPerCycle = 58.0;
  constexpr double kLatency = 1420.0;
  constexpr double kStage = 303.0;
  constexpr double kTapStage = 312.0;  // more, where stages differ in their taps
  constexpr double kSharedReads = 0.75;
  constexpr double kSplitProducts = 2.3;  // of three
  const bool split = tile.parts == 2, wide = tile.element_bytes == 4;
  const double blocks = tile.columns / 64.0;
  const double reads = 16.0 * plan.gathering_turns;
  // Of a step and block. Products of 256 rows leave f32 the time for it.
  const double short_products = split ? 52.0 : (wide ? 9.0 : 33.0);
  const double gathering = !tile.is_tall() ? short_products : (wide ? 0.0 : reads * kSharedReads);
  const double products = blocks * (split ? kSplitProducts : 1.0) * tile.rows / 2.0;
  const double shared = blocks * (reads + tile.rows / 4.0) * kSharedReads;
  const double streamed = plan.resident ? 0.0 : static_cast<double>(plan.weight_bytes);
  const double loads = static_cast<double>(plan.window_bytes) / kWindowBytesPerCycle +
                       streamed / kWeightBytesPerCycle;
  const double multiplying = std::max(products, shared) * plan.steps;
  const double slot = (loads + kLatency + multiplying) / plan.ring;
  const double stage = kStage + (plan.tap_stages > 1 ? kTapStage : 0.0);
  return plan.stages() *
             (std::max({multiplying, loads, slot}) + gathering * blocks * plan.steps + stage) +
         handing_cycles(p, plan, tile);
}

// Ranks ways to cut the stages of a tile. Its rates are hopeful: with those that tiles are measured
// by, stages would be cut too large, which leaves too few of them in flight.
double rank_stages(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  if (tile.gathers) return gathered_cycles(p, plan, tile);
  const StageWork work(plan, tile);
  // Elements that are not neighbours, or not of a unit's own channel, are loaded one by one.
  const double single = plan.unit_taps > 1 || plan.residues != plan.fold.stride ? 3.0 : 1.0;
  const double loads = plan.by_rows ? ranked_row_cycles(plan) : work.window * single / 10.0;
  return stage_cycles(plan, work.products, loads, (work.streamed + work.window) / 24.0, 100.0);
}

// Cycles of one multiprocessor for a tile: each stage takes the longest of its products, its loads
// and what the L2 brings to all blocks. As measured on an H200.
double predict_cycles(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  constexpr double kLeastGathered = 3900.0;  // warps find out about a tile
  if (tile.gathers) return std::max(kLeastGathered, gathered_cycles(p, plan, tile));
  constexpr double kL2BytesPerCycle = 29.0;  // for each block
  constexpr double kTile = 2000.0;
  const double kStage = plan.by_rows ? 300.0 : 430.0;
  constexpr double kPromotion = 600.0;  // of a stage's sums to the total
  const StageWork work(plan, tile);
  const double loads =
      plan.by_rows ? ranked_row_cycles(plan) : work.window / load_rate(p, plan, tile);
  return kTile + stage_cycles(plan, work.products, loads,
                              (work.streamed + work.window) / kL2BytesPerCycle,
                              kStage + (tile.parts == 2 ? kPromotion : 0.0));
}

// Steps of a stage where operands are split, of `steps` of the whole reduction. Tensor cores
// truncate when they add, so a stage's sum errs by its additions; sums of stages are added in f32,
// whose rounding errs by the root of all.
double most_split_steps(int64_t steps, const GemmTile& tile) {
  // Where operands are gathered, small products are not summed before the big ones.
  const double most = tile.gathers ? 4.0 : 12.0;
  return std::min(most, 1.5 * std::sqrt(static_cast<double>(steps)));
}

// Sums in f32 of few products err less than the sums of their parts that tensor cores truncate,
// where small products are not summed before the big ones.
constexpr int64_t kFewestGatheredSplitSteps = 24;

// Units of the whole reduction along either.
int64_t units_of_channels(const Conv1dProblem& p, const GemmPlan& plan) {
  return ceil_divide(p.group_inputs(), plan.unit_channels);
}
int64_t units_of_taps(const GemmPlan& plan) { return ceil_divide(plan.fold.taps, plan.unit_taps); }

// Completes a plan with stages of `units` units of channels and `taps` units of taps.
GemmPlan with_stage(const Conv1dProblem& p, GemmPlan plan, const GemmTile& tile, int64_t units,
                    int64_t taps) {
  const int64_t channel_units = units_of_channels(p, plan), tap_units = units_of_taps(plan);
  plan.stage_units = static_cast<int>(units);
  plan.tap_stages = static_cast<int>(ceil_divide(tap_units, taps));
  plan.stage_taps = static_cast<int>(ceil_divide(tap_units, plan.tap_stages));
  const int64_t units_at_once = 2 * (tile.gathers ? tile.gathered_steps : 1);
  if (units < units_at_once) {
    plan.stage_taps = static_cast<int>(round_up(plan.stage_taps, units_at_once / units));
  }
  plan.channel_stages = static_cast<int>(ceil_divide(channel_units, units));
  const int entries = plan.stage_units * plan.stage_taps / (tile.gathers ? 1 : 2);
  if (entries > kMaxSteps || !lay_window(plan, tile)) return plan;
  lay_rows(plan, p, tile);
  list_steps(plan, tile);
  const int64_t all_steps = ceil_divide(channel_units * tap_units, 2);
  if (tile.parts == 2 && plan.steps > most_split_steps(all_steps, tile)) return plan;
  if (tile.parts == 2 && tile.gathers && all_steps < kFewestGatheredSplitSteps) return plan;
  plan.weight_bytes = int64_t{2} * plan.steps * tile.parts * tile.rows * kUnitBytes;
  lay_shared_memory(plan, tile);
  plan.valid = plan.ring >= 2;
  return plan;
}

// How many taps a unit may hold: those that leave no room for channels that do not exist. Lanes
// that gather from rows of a stride meet fewer of each other in banks with more taps, if all units
// of channels begin alike behind a multiple of 16 bytes.
std::vector<int> taps_of_units(const Conv1dProblem& p, const GemmPlan& plan, const GemmTile& tile) {
  std::vector<int> all{plan.unit_taps};
  if (!tile.gathers || plan.fold.stride == 1) return all;
  const auto size = static_cast<int64_t>(size_of(p.dtype));
  for (int taps = 2 * plan.unit_taps; taps <= kUnitBytes / size && taps <= plan.fold.taps;
       taps *= 2) {
    const int64_t channels = kUnitBytes / size / taps;
    if (channels * p.in_length * size % kUnitBytes == 0) all.push_back(taps);
  }
  return all;
}

// Taps of the fold of a convolution, known without its table, which far taps would make large.
int64_t split_taps(const Conv1dProblem& p, int64_t split) {
  const int64_t far = p.dilation * (p.kernel_size - 1), last = p.stride * (split - 1);
  return (far + last) / std::gcd(p.kernel_size > 1 ? p.dilation : 0, p.stride) + 1;
}

// What part `part` of a weight is.
float part_of(float value, int part, const Conv1dProblem& problem, const GemmTile& tile) {
  if (problem.dtype != DType::kF32) return value;
  const float big = round_to_tf32(value);
  return tile.parts == 1 || part == 0 ? big : round_to_tf32(value - big);
}

}  // namespace

bool by_matrices(const Conv1dProblem& p, const GemmPlan& plan) {
  return size_of(p.dtype) == 2 && plan.fold.phases == 1 && p.out_length % 4 == 0;
}

GemmRow row_at(const Conv1dProblem& p, const GemmPlan& plan, int64_t row) {
  const int64_t eight = row / 8, in_eight = row % 8, phases = plan.fold.phases;
  GemmRow place{eight / plan.phase_blocks, eight % plan.phase_blocks * 8 + in_eight};
  if (phases <= 8) {
    place.channel = eight * plan.row_channels + in_eight / phases;
    place.phase = in_eight % phases;
  }
  const bool exists = place.channel < p.group_outputs() && place.phase < phases &&
                      (phases > 8 || in_eight < plan.row_channels * phases);
  return exists ? place : GemmRow{0, -1};
}

double single_share(const Conv1dProblem& p, const GemmPlan& plan) {
  if (plan.unit_taps > 1 || plan.residues != plan.fold.stride) return 1.0;
  const bool whole = p.group_inputs() % (plan.unit_channels * plan.stage_units) == 0;
  return whole ? 0.0 : 1.0 / plan.channel_stages;
}

double row_cycles(const GemmPlan& plan, const RowCosts& costs) {
  const auto turns = static_cast<double>(ceil_divide(plan.row_units * plan.stage_units, 32));
  const double places = plan.residues > 1 ? 1.5 : 1.0;
  const double turning = turns * places * (costs.squares + costs.conflicts / plan.stage_units);
  return (costs.latency / plan.row_buffers + turning) / kLoadingWarps;
}

int64_t implicit_gemm_tiles(const Conv1dProblem& p, const GemmPlan& plan) {
  return p.batch * plan.column_tiles * plan.row_tiles * p.groups;
}

GemmPlan plan_gemm(const Conv1dProblem& p, const GemmTile& tile, int64_t split) {
  GemmPlan plan;
  if (split > 1 && split_taps(p, split) > kMostGemmTaps) return plan;
  plan.fold = fold_phases(tap_problem(p).taps, split);
  const int64_t unit_elements = kUnitBytes / static_cast<int64_t>(size_of(p.dtype));
  while (plan.unit_taps * 2 * p.group_inputs() <= unit_elements &&
         plan.unit_taps < plan.fold.taps) {
    plan.unit_taps *= 2;
  }
  const int64_t phases = plan.fold.phases;
  plan.row_channels = static_cast<int>(phases > 8 ? 1 : 8 / phases);
  plan.phase_blocks = static_cast<int>(ceil_divide(phases, 8));
  plan.group_rows = 8 * (phases > 8 ? p.group_outputs() * plan.phase_blocks
                                    : ceil_divide(p.group_outputs(), plan.row_channels));
  if (tile.gathers && phases > 8) return plan;  // lines of eight rows are stored together
  plan.columns = ceil_divide(p.out_length + plan.fold.lead, plan.fold.phases);
  plan.groups = static_cast<int>(p.groups);
  plan.row_tiles = static_cast<int>(ceil_divide(plan.group_rows, tile.rows));
  const int64_t sector = 32 / static_cast<int64_t>(size_of(p.dtype));
  // Parts of sectors cost the memory time; kernels that gather bear that where products take
  // longer.
  constexpr int64_t kFewProducts = 768;  // of an output
  const bool overlap = plan.fold.phases == 1 && p.out_length % sector != 0 &&
                       plan.columns > tile.columns &&
                       (!tile.gathers || p.reduction() < kFewProducts);
  plan.advance = static_cast<int>(tile.columns - (overlap ? sector : 0));
  plan.column_tiles = ceil_divide(plan.columns, plan.advance);

  GemmPlan best;
  double best_rank = 0.0;
  const auto consider = [&](int64_t units, int64_t taps) {
    const GemmPlan candidate = with_stage(p, plan, tile, units, taps);
    if (!candidate.valid) return;
    const double rank = rank_stages(p, candidate, tile);
    if (best.valid && rank >= best_rank) return;
    best = candidate;
    best_rank = rank;
  };
  const auto consider_stages = [&] {
    const int64_t channel_units = units_of_channels(p, plan), tap_units = units_of_taps(plan);
    for (int64_t units = 1; units <= 16 && units < 2 * channel_units; units *= 2) {
      for (int64_t pieces = 1; pieces <= tap_units; ++pieces) {
        const int64_t taps = ceil_divide(tap_units, pieces);
        if (ceil_divide(tap_units, taps) == pieces) consider(units, taps);
      }
    }
  };
  const auto consider_units = [&](int unit_taps) {
    plan.unit_taps = unit_taps;
    plan.unit_channels = static_cast<int>(unit_elements / unit_taps);
    if (tile.gathers) lay_lanes(plan, tile);
    const int most_buffers = tile.by_rows ? kMaxRowBuffers : 1;
    for (plan.row_buffers = 1; plan.row_buffers <= most_buffers; ++plan.row_buffers) {
      for (plan.fewest_chunks = 2; plan.fewest_chunks <= 8; plan.fewest_chunks += 2) {
        consider_stages();
        if (tile.most_chunks <= plan.fewest_chunks) break;
      }
    }
  };
  for (const int unit_taps : taps_of_units(p, plan, tile)) consider_units(unit_taps);
  if (best.valid) best.tile_cycles = predict_cycles(p, best, tile);
  if (best.valid && tile.gathers) best.handing_cycles = handing_cycles(p, best, tile);
  return best;
}

int64_t packed_weight_count(const Conv1dProblem& p, const GemmPlan& plan) {
  return p.groups * plan.row_tiles * plan.stages() * plan.weight_bytes /
         static_cast<int64_t>(size_of(p.dtype));
}

void pack_gemm_weights(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                       const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight,
                       float* packed) {
  const int elements = plan.unit_channels * plan.unit_taps;
  // One element: row i of group g, unit (cu, tu) of all, element e.
  const auto element = [&](int64_t g, int64_t row, int64_t cu, int64_t tu, int e, int part) {
    const int64_t c = cu * plan.unit_channels + e / plan.unit_taps;
    const int64_t u = tu * plan.unit_taps + e % plan.unit_taps;
    const GemmRow place = row_at(p, plan, row);
    if (place.phase < 0 || c >= p.group_inputs() || u >= plan.fold.taps) return 0.0f;
    const int64_t tap = plan.fold.tap(place.phase, u);
    if (tap < 0) return 0.0f;
    return part_of(weight(g, place.channel, c, tap), part, p, tile);
  };
  for (int64_t g = 0; g < p.groups; ++g) {
    for (int64_t row_tile = 0; row_tile < plan.row_tiles; ++row_tile) {
      for (int64_t stage = 0; stage < plan.stages(); ++stage) {
        const int64_t first_cu = stage / plan.tap_stages * plan.stage_units;
        const int64_t first_tu = stage % plan.tap_stages * plan.stage_taps;
        for (int part = 0; part < tile.parts; ++part) {
          for (int64_t unit = 0; unit < 2 * plan.steps; ++unit) {
            for (int64_t row = 0; row < tile.rows; ++row) {
              for (int e = 0; e < elements; ++e) {
                *packed++ =
                    element(g, row_tile * tile.rows + row, first_cu + unit % plan.stage_units,
                            first_tu + tap_of_unit(plan, tile, unit), e, part);
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace engine::cuda
