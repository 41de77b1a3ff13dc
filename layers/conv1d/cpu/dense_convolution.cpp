#include "layers/conv1d/cpu/dense_convolution.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/cpu/share_work.h"
#include "engine/round_up.h"
#include "layers/conv1d/cpu/convolution_items.h"

namespace engine::cpu {
namespace {

// Beside the tile of input they stay within a second-level cache of 512 KB.
constexpr int64_t kWeightFloats = 49152;
constexpr int64_t kMaxColumns = 1024;
// So many products of an input pay for packing every panel by itself.
constexpr int64_t kManyProducts = 512;
// To bring an input near where it lies, and to pack it.
constexpr double kReadSeconds = 0.3e-9;
constexpr double kPackSeconds = 0.7e-9;

// Phases whose columns lie `columns` apart.
bool read_the_same(const PhaseTaps& a, const PhaseTaps& b, int64_t columns) {
  return a.count == b.count && a.offset + columns == b.offset && a.shift == b.shift;
}

// Of a group, that are computed at once.
int64_t most_rows(const TapProblem& problem) {
  int64_t most = 1;
  for (const PhaseRun& run : phase_runs(problem)) most = std::max(most, run.count);
  return most * problem.group_outputs;
}

}  // namespace

std::vector<PhaseRun> phase_runs(const TapProblem& problem) {
  const TapRule& rule = problem.taps;
  const int64_t phases = problem.phases_with_outputs();
  std::vector<PhaseRun> runs;
  for (int64_t r = 0; r < phases; ++r) {
    const int64_t columns = rule.outputs(r, problem.out_length);
    if (r > 0 && read_the_same(rule.phase(r - 1), rule.phase(r), 0)) {
      ++runs.back().count;
    } else {
      runs.push_back({r, 1, columns});
    }
  }
  // The last phases may read what the first ones of the next column do.
  const PhaseRun last = runs.back();
  if (runs.size() > 1 && phases == rule.phases() &&
      read_the_same(rule.phase(0), rule.phase(last.first), 1)) {
    PhaseRun& first = runs.front();
    first = {last.first - phases, last.count + first.count,
             std::max(first.columns, last.columns + 1)};
    runs.pop_back();
  }
  return runs;
}

bool keeps_strides(const TapProblem& problem) {
  return 2 * tap_remainders(problem) >= problem.taps.in_stride();
}

std::string DenseConvolution::phases() const {
  std::string counts;
  for (const Phase& phase : phases_) {
    counts += fmt::format(" {}-{}", phase.run.first, phase.run.first + phase.run.count - 1);
  }
  return counts;
}

// One part of the work: a tile of outputs, and some of the rows of a group.
struct DenseConvolution::Item {
  ConvolutionArrays arrays;  // of the item's sample and group
  int64_t group;
  int64_t first_column;
  int64_t split;  // of the row blocks of each phase
};

// Consecutive outputs of a phase, and where their inputs lie.
struct DenseConvolution::Columns {
  int64_t first;
  int64_t count;
  const float* inputs;
  bool in_place;
  bool apart;              // panel by panel
  const int32_t* offsets;  // of each step, in bytes
};

DenseConvolution::DenseConvolution(const TapProblem& problem, const DenseLoop& loop, int threads)
    : problem_(problem),
      loop_(loop),
      block_columns_(most_rows(problem) <= 2 ? 2 * loop.columns : loop.columns),
      by_panels_(loop.lanes > 1 &&
                 most_rows(problem) * problem.taps.phase(0).count >= kManyProducts),
      column_stride_(choose_column_stride()) {
  for (const PhaseRun& run : phase_runs(problem_)) {
    const PhaseTaps taps = problem_.taps.phase(std::max<int64_t>(run.first, 0));
    const int64_t rows = problem_.group_outputs * run.count;
    const int64_t row_blocks = ceil_divide(rows, loop_.rows);
    phases_.push_back({run, taps, rows, row_blocks, weight_count_, cut(taps)});
    weight_count_ += problem_.groups * row_blocks * loop_.rows * problem_.group_inputs * taps.count;
  }
  choose_items(threads);
  // Packing panels pays, unless many parts of the output channels would each do so.
  in_place_ = can_read_in_place() && !(by_panels_ && splits_ == 1);
  for (Phase& phase : phases_) lay_out_tiles(phase);
}

double DenseConvolution::seconds_of_run() const {
  return 2.0 * static_cast<double>(problem_.batch) * static_cast<double>(problem_.out_length) *
         static_cast<double>(weight_count_) / static_cast<double>(problem_.taps.phases()) /
         kThreadFlopsPerSecond;
}

// Chunks depend on the layer alone, so that every length finds the same packed weights.
std::vector<DenseConvolution::Chunk> DenseConvolution::cut(const PhaseTaps& taps) const {
  std::vector<Chunk> chunks;
  int64_t steps = 0;
  int64_t first = 0;
  do {
    int64_t count = std::min(taps.count - first, loop_.steps);
    const auto panel_floats = [&] {
      return tile_of(taps, first, count, block_columns_).row_size();
    };
    while (count > 1 && panel_floats() > loop_.panel_floats) count = ceil_divide(count, 2);
    const int64_t most = std::min({loop_.panel_floats / std::max<int64_t>(panel_floats(), 1),
                                   loop_.steps / std::max<int64_t>(count, 1), most_channels()});
    const int64_t parts = ceil_divide(problem_.group_inputs, std::max<int64_t>(most, 1));
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t begin = part * problem_.group_inputs / parts;
      const int64_t end = (part + 1) * problem_.group_inputs / parts;
      chunks.push_back({TapTile({}, 1, 0),
                        TapTile({}, 1, 0),
                        {},
                        {},
                        first,
                        count,
                        begin,
                        end - begin,
                        steps,
                        0});
      steps += chunks.back().steps();
    }
    first += count;
  } while (first < taps.count);
  return chunks;
}

// Of a chunk. Few output channels are done sooner than the memory brings their inputs, which it
// does best in long pieces of few rows: their sums wait in y instead, unless phases are interleaved
// there, which would cost more.
int64_t DenseConvolution::most_channels() const {
  constexpr int64_t kChannelsOfAnOutput = 4;
  constexpr int64_t kFewest = 16;
  const bool interleaves = problem_.taps.phases() > 1;
  if (by_panels_ || loop_.lanes == 1 || interleaves) return problem_.group_inputs;
  return std::max(kChannelsOfAnOutput * most_rows(problem_), kFewest);
}

// `columns` outputs' inputs through taps [first, first + count).
TapTile DenseConvolution::tile_of(const PhaseTaps& taps, int64_t first, int64_t count,
                                  int64_t columns) const {
  return {positions_of(taps, first, count), problem_.taps.in_stride() / column_stride_,
          (columns - 1) * column_stride_ + 1,
          by_panels_ ? TapTile::Rows::kDense : TapTile::Rows::kSpread};
}

int64_t DenseConvolution::choose_column_stride() const {
  const int64_t stride = problem_.taps.in_stride();
  if (!loop_.strides || block_columns_ * stride > loop_.panel_floats) return 1;
  return keeps_strides(problem_) ? stride : 1;
}

// Tiles are equally long, but for whole vectors, or whole blocks where columns are taken one by
// one. Threads share out short signals by output channel too.
void DenseConvolution::choose_items(int threads) {
  const int64_t outputs = phases_.front().run.columns;
  const TapProblem& p = problem_;
  const int64_t unit = loop_.lanes > 1 ? loop_.lanes : block_columns_;
  const auto inputs = static_cast<double>(p.batch * p.groups * p.group_inputs * p.in_length);
  const Sharing sharing = share_out(
      {p.batch * p.groups, ceil_divide(outputs, unit), most_columns() / unit,
       phases_.front().row_blocks, seconds_of_run(),
       (can_read_in_place() ? kReadSeconds : kPackSeconds) * inputs, weight_count_ / p.groups},
      threads);
  columns_ = std::min(sharing.units * unit, round_up(outputs, loop_.lanes));
  tiles_ = sharing.tiles;
  splits_ = sharing.splits;
}

// Of the longest tile that holds every chunk. Where its rows are too many for panels of their own,
// all of it is to stay in the first-level cache.
int64_t DenseConvolution::most_columns() const {
  const auto holds = [&](const Phase& phase, const Chunk& chunk, int64_t columns) {
    const auto tile = [&](int64_t count) {
      return tile_of(phase.taps, chunk.first_tap, chunk.taps, count);
    };
    const TapTile whole = tile(columns);
    const int64_t whole_floats = whole.row_size() * chunk.channels;
    if (!by_panels_) return whole_floats <= loop_.tile_floats;
    if (!whole.can_pack_panels()) return whole_floats <= loop_.panel_floats;
    const int64_t panels = ceil_divide(columns, block_columns_);
    return tile(block_columns_).row_size() * chunk.channels * panels <= loop_.tile_floats;
  };
  const auto fits = [&](int64_t columns) {
    return std::all_of(phases_.begin(), phases_.end(), [&](const Phase& phase) {
      return std::all_of(phase.chunks.begin(), phase.chunks.end(),
                         [&](const Chunk& chunk) { return holds(phase, chunk, columns); });
    });
  };
  int64_t columns = block_columns_;
  while (2 * columns <= kMaxColumns && fits(2 * columns)) columns *= 2;
  return columns;
}

// A few channels at most have their own places in a cache at any distance. More of them are short
// enough for 32-bit offsets, and a panel of them spreads over the first-level cache: vectors of
// columns take a few lines of each, which an even number of lines between channels would lay over
// each other. More pages of memory than a core has addresses of at hand take longer to pass over
// again and again than a tile does, which is packed once.
bool DenseConvolution::can_read_in_place() const {
  constexpr int64_t kFewChannels = 8;
  constexpr int64_t kMaxFloats = int64_t{1} << 28;
  constexpr int64_t kTwoLines = 32;
  constexpr int64_t kPageFloats = 1024;
  constexpr int64_t kPages = 64;
  constexpr int64_t kProducts = 64;  // of an input, that pay for packing it
  if (problem_.taps.in_stride() != column_stride_) return false;
  if (loop_.lanes > 1) {
    const int64_t pages =
        ceil_divide(problem_.group_inputs * std::min(problem_.in_length, kPageFloats), kPageFloats);
    const int64_t products = most_rows(problem_) * problem_.taps.phase(0).count;
    if (pages > kPages && products >= kProducts) return false;
    return problem_.in_length <= kLongestInPlace && problem_.in_length % kTwoLines != 0;
  }
  const int64_t longest =
      problem_.group_inputs <= kFewChannels ? kMaxFloats / kFewChannels : kLongestInPlace;
  return problem_.in_length <= longest;
}

// Of outputs [first, first + count), how many from the first on may be read in place: all their
// inputs exist, and a loop with vectors of columns reads nothing beyond them.
int64_t DenseConvolution::columns_in_place(const PhaseTaps& taps, int64_t first,
                                           int64_t count) const {
  const int64_t last_tap = taps.offset + (taps.count - 1) * taps.shift;
  const int64_t input = first * column_stride_;
  if (!in_place_ || input + std::min(taps.offset, last_tap) < 0) return 0;
  const int64_t inputs = problem_.in_length - std::max(taps.offset, last_tap) - input;
  const int64_t exist = ceil_divide(inputs, column_stride_);
  const int64_t read = loop_.masks ? count : round_up(count, loop_.lanes);
  if (exist >= read) return count;
  return std::max<int64_t>(std::min(count, exist), 0) / loop_.lanes * loop_.lanes;
}

void DenseConvolution::find_inputs(const PhaseTaps& taps, Chunk& chunk) const {
  const auto bytes = [](int64_t floats) {
    return static_cast<int32_t>(floats) * int32_t{sizeof(float)};
  };
  for (int64_t c = 0; c < chunk.channels; ++c) {
    for (int64_t i = 0; i < chunk.taps; ++i) {
      const int64_t position = chunk.panel.positions()[static_cast<size_t>(i)];
      chunk.tile_offsets.push_back(bytes(c * chunk.panel.row_size() + position));
      if (!in_place_) continue;
      chunk.input_offsets.push_back(
          bytes(c * problem_.in_length + taps.offset + (chunk.first_tap + i) * taps.shift));
    }
  }
}

void DenseConvolution::lay_out_tiles(Phase& phase) const {
  for (Chunk& chunk : phase.chunks) {
    const auto tile = [&](int64_t columns) {
      return tile_of(phase.taps, chunk.first_tap, chunk.taps, columns);
    };
    // Few channels leave room for long panels, which write longer pieces of each row of y.
    chunk.panel_columns = block_columns_;
    while (chunk.panel_columns < columns_ &&
           tile(2 * chunk.panel_columns).row_size() * chunk.channels <= loop_.panel_floats) {
      chunk.panel_columns *= 2;
    }
    chunk.tile = tile(columns_);
    const bool by_panels =
        by_panels_ && chunk.panel_columns < columns_ && chunk.tile.can_pack_panels();
    chunk.panel = by_panels ? tile(chunk.panel_columns) : chunk.tile;
    find_inputs(phase.taps, chunk);
  }
}

bool DenseConvolution::writes_once() const {
  return std::all_of(phases_.begin(), phases_.end(),
                     [](const Phase& phase) { return phase.chunks.size() == 1; });
}

// Those of a block from row `first` on.
std::vector<DenseConvolution::Row> DenseConvolution::rows_of(const Phase& phase,
                                                             int64_t first) const {
  std::vector<Row> rows;
  for (int64_t row = first; row < std::min(first + loop_.rows, phase.rows); ++row) {
    const int64_t r = phase.run.first + row % phase.run.count;
    const int64_t tap = problem_.taps.phase(r < 0 ? r + problem_.taps.phases() : r).first;
    rows.push_back({row / phase.run.count, tap});
  }
  return rows;
}

Tensor DenseConvolution::pack_weights(const WeightReader& weight) const {
  Tensor packed = Tensor::zeros({weight_count_});
  float* target = packed.data<float>();
  const auto pack_block = [&](const Phase& phase, const Chunk& chunk, int64_t g, int64_t first) {
    const std::vector<Row> rows = rows_of(phase, first);
    for (int64_t c = chunk.first_channel; c < chunk.first_channel + chunk.channels; ++c) {
      for (int64_t i = 0; i < chunk.taps; ++i, target += loop_.rows) {
        const int64_t taps_before = (chunk.first_tap + i) * phase.taps.step;
        for (size_t j = 0; j < rows.size(); ++j) {
          target[j] = weight(g, rows[j].channel, c, rows[j].first_tap + taps_before);
        }
      }
    }
  };
  for (const Phase& phase : phases_) {
    for (int64_t g = 0; g < problem_.groups; ++g) {
      for (const Chunk& chunk : phase.chunks) {
        for (int64_t b = 0; b < phase.row_blocks; ++b) pack_block(phase, chunk, g, b * loop_.rows);
      }
    }
  }
  return packed;
}

void DenseConvolution::run(const ConvolutionArrays& arrays, ThreadPool& threads) const {
  const int64_t items = problem_.batch * problem_.groups * tiles_ * splits_;
  threads.parallel_for(items, grain_of(items, seconds_of_run()), [&](int64_t begin, int64_t end) {
    alignas(64) float packed[kMostTileFloats];
    run_in_turn(
        begin, end, [&](int64_t i) { return item_at(i, arrays); },
        [&](const Item& item, const Item* next) { run_item(item, next, packed); });
  });
}

DenseConvolution::Item DenseConvolution::item_at(int64_t index,
                                                 const ConvolutionArrays& arrays) const {
  const ItemPlace place(index, tiles_, splits_);
  return {arrays_of_part(arrays, problem_, place.part), place.part % problem_.groups,
          place.tile * columns_, place.split};
}

// What is read first behind the item's chunk.
FetchAhead DenseConvolution::inputs_behind(const Item& item, const Item* next, const Phase& phase,
                                           const Chunk& chunk) const {
  const int64_t portions =
      (first_block(phase, item.split + 1) - first_block(phase, item.split)) *
      ceil_divide(std::min(columns_, phase.run.columns - item.first_column), loop_.columns);
  if (&chunk != &phase.chunks.back()) return inputs_of(item, phase, *(&chunk + 1), portions);
  if (&phase != &phases_.back() || next == nullptr) return {};
  return inputs_of(*next, phases_.front(), phases_.front().chunks.front(), portions);
}

// Those that earlier tiles have not read.
FetchAhead DenseConvolution::inputs_of(const Item& item, const Phase& phase, const Chunk& chunk,
                                       int64_t portions) const {
  const PhaseTaps& taps = phase.taps;
  const int64_t reach = std::max(taps.offset, taps.offset + (taps.count - 1) * taps.shift);
  const auto inputs_before = [&](int64_t column) {
    if (column == 0) return int64_t{0};
    const int64_t last = (column - 1) * problem_.taps.in_stride() + reach;
    return std::clamp(last + 1, int64_t{0}, problem_.in_length);
  };
  const int64_t begin = inputs_before(item.first_column);
  const int64_t end = inputs_before(std::min(item.first_column + columns_, phase.run.columns));
  return {item.arrays.input + chunk.first_channel * problem_.in_length + begin, chunk.channels,
          end - begin, problem_.in_length, portions};
}

void DenseConvolution::run_item(const Item& item, const Item* next, float* tile) const {
  for (const Phase& phase : phases_) {
    if (item.first_column >= phase.run.columns) continue;
    const int64_t columns = std::min(columns_, phase.run.columns - item.first_column);
    const int64_t in_place = columns_in_place(phase.taps, item.first_column, columns);
    const int64_t rest = columns - in_place;
    for (const Chunk& chunk : phase.chunks) {
      const float* input = item.arrays.input + chunk.first_channel * problem_.in_length;
      FetchAhead ahead = inputs_behind(item, next, phase, chunk);
      if (in_place > 0) {
        run_chunk(item, phase, chunk,
                  {item.first_column, in_place, input + item.first_column * column_stride_, true,
                   false, chunk.input_offsets.data()},
                  ahead);
      }
      if (rest == 0) continue;
      const int64_t first = item.first_column + in_place;
      chunk.tile.pack(chunk.panel, loop_.lanes, input, chunk.channels, problem_.in_length,
                      problem_.padding_mode, first * column_stride_,
                      (rest - 1) * column_stride_ + 1, tile);
      run_chunk(item, phase, chunk,
                {first, rest, tile, false, chunk.has_panels(), chunk.tile_offsets.data()}, ahead);
    }
  }
}

// All panels of the columns times as many output channels as keep their weights in the cache, then
// the next channels.
void DenseConvolution::run_chunk(const Item& item, const Phase& phase, const Chunk& chunk,
                                 const Columns& columns, FetchAhead& ahead) const {
  const int64_t block_floats = chunk.steps() * loop_.rows;
  const int64_t most_blocks =
      std::max<int64_t>(kWeightFloats / std::max<int64_t>(block_floats, 1), 1);
  const int64_t steps_before =
      item.group * problem_.group_inputs * phase.taps.count + chunk.steps_before;
  const float* weights =
      item.arrays.weights + phase.weights + steps_before * phase.row_blocks * loop_.rows;
  DensePanel panel{};
  panel.offsets = columns.offsets;
  panel.column_stride = column_stride_;
  panel.in_place = columns.in_place;
  panel.steps = chunk.steps();
  panel.ahead = &ahead;
  PanelOutput& output = panel.output;
  output.row_stride = problem_.out_length;
  output.column_stride = problem_.taps.phases();
  output.first = &chunk == &phase.chunks.front();
  output.last = &chunk == &phase.chunks.back();
  output.activation = problem_.activation;
  output.residual_activation = problem_.residual_activation;
  output.phases = phase.run.count;
  const int64_t end_block = first_block(phase, item.split + 1);
  for (int64_t block = first_block(phase, item.split); block < end_block; block += most_blocks) {
    const int64_t row = block * loop_.rows;
    const int64_t end_row = std::min(block + most_blocks, end_block) * loop_.rows;
    const int64_t channel = row / output.phases;
    panel.weights = weights + block * block_floats;
    panel.rows = std::min(end_row, phase.rows) - row;
    output.first_phase = row % output.phases;
    output.bias = item.arrays.bias ? item.arrays.bias + channel : nullptr;
    const auto start_of = [&](int64_t panel_index) {
      return panel_start(panel_index, columns.count, chunk.panel_columns, loop_.lanes);
    };
    for (int64_t i = 0; i * chunk.panel_columns < columns.count; ++i) {
      const int64_t column = start_of(i);
      output.position = phase.run.first + (columns.first + column) * output.column_stride;
      const int64_t start = channel * output.row_stride + output.position;
      panel.tile =
          columns.inputs + (columns.apart ? i * chunk.panel_floats() : column * column_stride_);
      panel.columns = start_of(i + 1) - column;
      output.y = item.arrays.output + start;
      output.residual = item.arrays.residual ? item.arrays.residual + start : nullptr;
      loop_.run(panel);
    }
  }
}

}  // namespace engine::cpu
