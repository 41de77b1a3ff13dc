#include "layers/conv1d/cpu/row_convolution.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <cstdlib>

#include "engine/cpu/share_work.h"
#include "engine/round_up.h"
#include "layers/conv1d/cpu/convolution_items.h"

namespace engine::cpu {
namespace {

// The tile of input, on the stack of the thread that works on it: 16 KB of the first-level cache
// for all rows to pass over, or 128 KB at most where few columns of many channels take more.
constexpr int64_t kPieceFloats = 4096;
constexpr int64_t kTileFloats = 32768;
constexpr int64_t kFewColumns = 96;
// Longer pieces would wait for memory twice: for all inputs that are packed, then for all outputs.
constexpr int64_t kPackedInputs = 1024;
// Columns of many channels are worked on in the widest blocks of RowPanel at least.
constexpr int64_t kBlockVectors = 12;
// A vector of the widest instruction set.
constexpr int64_t kVectorFloats = 16;
// Larger outputs are out of most caches before anyone reads them.
constexpr int64_t kStreamedBytes = int64_t{16} << 20;
// Input channels that are read in place at once, where sums may wait in y: the memory's own
// prefetching follows few rows.
constexpr int64_t kFollowedRows = 4;
// More inputs than that are not in the cache of a core.
constexpr int64_t kFarFloats = int64_t{1} << 18;
// Shorter rows with padding are packed as a whole, which costs less than doing so at both ends.
constexpr int64_t kMinInPlace = 512;
constexpr double kStepsPerSecond = 20e9;
constexpr double kStepsOfAnOutput = 5.0;  // what an output costs beside its products

// To whole vectors.
int64_t round_up(int64_t columns) {
  return columns <= 0 ? 0 : engine::round_up(columns, kVectorFloats);
}

// The tile with the most columns that holds all input channels; without columns where there is
// none.
TapTile widest_tile(const TapProblem& problem, const PhaseTaps& taps) {
  const int64_t outputs = round_up(problem.taps.outputs(0, problem.out_length));
  const int64_t stride = problem.taps.in_stride();
  for (int64_t columns = kPackedInputs; columns >= kVectorFloats; columns /= 2) {
    if (columns * stride > kPackedInputs && columns > kVectorFloats) continue;
    TapTile tile(positions_of(taps, 0, taps.count), stride, std::min(columns, outputs));
    const int64_t most = columns > 2 * kFewColumns ? kPieceFloats : kTileFloats;
    if (tile.row_size() * problem.group_inputs <= most) return tile;
  }
  return {{}, 1, 0};
}

// As RowPanel has it: shared vectors serve two taps each, or more.
bool shares_vectors(const std::vector<int64_t>& offsets) {
  if (offsets.empty()) return false;
  const int64_t lowest = std::min(offsets.front(), offsets.back());
  size_t groups = 1;
  for (size_t s = 1; s < offsets.size(); ++s) {
    if (offsets[s] < lowest) return false;
    groups += shared_start(offsets[s], lowest) != shared_start(offsets[s - 1], lowest);
  }
  return 2 * groups <= offsets.size();
}

void fetch(const float* values, int64_t count) {
  constexpr int64_t kLineFloats = 16;
  for (int64_t i = 0; i < count; i += kLineFloats) hwy::Prefetch(values + i);
}

}  // namespace

// The outputs of consecutive parts in one piece. A part is one sample and group; they are counted
// group after group of sample after sample.
struct RowConvolution::Item {
  const Phase& phase;
  Piece piece;
  int64_t first_part;
  int64_t end_part;
};

bool RowConvolution::can_implement(const TapProblem& problem) {
  for (int64_t r = 0; r < problem.phases_with_outputs(); ++r) {
    if (widest_tile(problem, problem.taps.phase(r)).columns() == 0) return false;
  }
  return true;
}

RowConvolution::RowConvolution(const TapProblem& problem, int threads)
    : problem_(problem), loop_(row_loop()), threads_(threads) {
  const int64_t outputs =
      problem_.batch * problem_.groups * problem_.group_outputs * problem_.out_length;
  streams_ = outputs * static_cast<int64_t>(sizeof(float)) >= kStreamedBytes;
  for (int64_t r = 0; r < problem_.phases_with_outputs(); ++r) add_phase(r);
  int64_t tile_floats = 1;
  for (const Phase& phase : phases_) {
    pieces_ = std::max(pieces_, phase.pieces());
    tile_floats = std::max(tile_floats, problem_.group_inputs * phase.tile.row_size());
  }
  if (reads_padded_rows() && padded_row_loop() != nullptr) {
    padded_taps_.emplace(phases_.front().input_offsets);
  }
  // Rows with their padding need no tile, but masks that are found once for all of them.
  const int64_t most_parts = padded_taps_ ? 16 : 8;
  if (pieces_ == 1) parts_ = std::clamp(kPieceFloats / tile_floats, int64_t{1}, most_parts);
}

bool RowConvolution::reads_padded_rows() const {
  const TapProblem& p = problem_;
  const bool depthwise = p.group_inputs == 1 && p.group_outputs == 1;
  const bool plain = p.taps.phases() == 1 && p.taps.in_stride() == 1 &&
                     p.padding_mode == PaddingMode::kZeros && p.out_length <= p.in_length;
  if (!depthwise || !plain || pieces_ != 1 || phases_.front().piece(0).in_place) return false;
  const std::vector<int64_t>& offsets = phases_.front().input_offsets;
  return std::all_of(offsets.begin(), offsets.end(),
                     [](int64_t offset) { return std::abs(offset) <= PaddedTaps::kMostOffset; });
}

int64_t RowConvolution::Phase::pieces() const {
  return spans[0].pieces + spans[1].pieces + spans[2].pieces;
}

// Found from its index, so that no length makes a list of them.
RowConvolution::Piece RowConvolution::Phase::piece(int64_t i) const {
  const Span* span = spans.data();
  for (; i >= span->pieces; ++span) i -= span->pieces;
  const int64_t first = span->begin + i * span->columns;
  return {first, std::min(span->columns, span->end - first), span->in_place};
}

void RowConvolution::add_phase(int64_t index) {
  const PhaseTaps taps = problem_.taps.phase(index);
  Phase phase{index,
              problem_.taps.outputs(index, problem_.out_length),
              taps,
              weight_count_,
              widest_tile(problem_, taps),
              {},
              {},
              {}};
  const std::vector<int64_t> positions = positions_of(taps, 0, taps.count);
  for (int64_t c = 0; c < problem_.group_inputs; ++c) {
    for (size_t t = 0; t < positions.size(); ++t) {
      phase.tile_offsets.push_back(c * phase.tile.row_size() + phase.tile.positions()[t]);
      phase.input_offsets.push_back(c * problem_.in_length + positions[t]);
    }
  }
  phase.shares_vectors = shares_vectors(phase.tile_offsets) && shares_vectors(phase.input_offsets);
  phase.spans = cut(phase);
  weight_count_ += problem_.groups * problem_.group_outputs * problem_.group_inputs * taps.count;
  phases_.push_back(std::move(phase));
}

// Outputs whose inputs all exist are computed in place, those before and behind them in tiles.
std::array<RowConvolution::Span, 3> RowConvolution::cut(const Phase& phase) const {
  int64_t begin = phase.outputs;
  int64_t end = phase.outputs;
  if (problem_.taps.in_stride() == 1 && phase.taps.count > 0) {
    const int64_t first = phase.taps.offset;
    const int64_t last = first + (phase.taps.count - 1) * phase.taps.shift;
    begin = std::clamp(round_up(-std::min(first, last)), int64_t{0}, phase.outputs);
    end = std::clamp(problem_.in_length - std::max(first, last), begin, phase.outputs);
  }
  if (end - begin < std::min(kMinInPlace, phase.outputs)) begin = end = phase.outputs;
  return {span(phase, 0, begin, false), span(phase, begin, end, true),
          span(phase, end, phase.outputs, false)};
}

// In place, of `columns` in all: a piece leaves what every output channel reads in the first-level
// cache, or a single one's sums.
int64_t RowConvolution::columns_in_place(int64_t columns) const {
  const TapProblem& p = problem_;
  const int64_t rows = p.group_outputs > 1 ? channels_at_once() : 1;
  const int64_t most = std::max(kPieceFloats / rows, kBlockVectors * loop_.lanes);
  const int64_t weights = p.group_outputs * p.group_inputs * p.taps.phase(0).count;
  const SharedWork work{p.batch * p.groups * p.phases_with_outputs(),
                        ceil_divide(columns, kVectorFloats),
                        most / kVectorFloats,
                        1,
                        seconds_of_run(),
                        0.0,
                        weights};
  return share_out(work, threads_).units * kVectorFloats;
}

RowConvolution::Span RowConvolution::span(const Phase& phase, int64_t begin, int64_t end,
                                          bool in_place) const {
  if (begin == end) return {begin, end, in_place, 0, 0};
  // Whole vectors, so that pieces of rows that start at one are stored in them.
  const int64_t pieces = ceil_divide(end - begin, phase.tile.columns());
  const int64_t columns =
      in_place ? columns_in_place(end - begin) : round_up(ceil_divide(end - begin, pieces));
  return {begin, end, in_place, columns, ceil_divide(end - begin, columns)};
}

int64_t RowConvolution::channels_at_once() const {
  return problem_.group_inputs <= kMostTogether ? problem_.group_inputs : kFollowedRows;
}

bool RowConvolution::writes_once() const {
  return channels_at_once() == problem_.group_inputs ||
         std::none_of(phases_.begin(), phases_.end(),
                      [](const Phase& phase) { return phase.spans[1].pieces > 0; });
}

Tensor RowConvolution::pack_weights(const WeightReader& weight) const {
  Tensor packed = Tensor::empty({weight_count_});
  float* target = packed.data<float>();
  for (const Phase& phase : phases_) {
    for (int64_t g = 0; g < problem_.groups; ++g) {
      for (int64_t m = 0; m < problem_.group_outputs; ++m) {
        for (int64_t c = 0; c < problem_.group_inputs; ++c) {
          for (int64_t i = 0; i < phase.taps.count; ++i) {
            *target++ = weight(g, m, c, phase.taps.first + i * phase.taps.step);
          }
        }
      }
    }
  }
  return packed;
}

double RowConvolution::seconds_of_run() const {
  const TapProblem& p = problem_;
  const double outputs =
      static_cast<double>(p.batch * p.groups * p.group_outputs) * static_cast<double>(p.out_length);
  const double steps =
      static_cast<double>(p.group_inputs * p.taps.phase(0).count) + kStepsOfAnOutput;
  return outputs * steps / kStepsPerSecond;
}

void RowConvolution::run(const ConvolutionArrays& arrays, ThreadPool& threads) const {
  const TapProblem& p = problem_;
  const auto phases = static_cast<int64_t>(phases_.size());
  const int64_t parts = p.batch * p.groups;
  const int64_t items = ceil_divide(parts, parts_) * pieces_ * phases;
  threads.parallel_for(items, grain_of(items, seconds_of_run()), [&](int64_t begin, int64_t end) {
    alignas(64) float tile[kTileFloats];
    for (int64_t i = begin; i < end; ++i) {
      // Phases read the same inputs, one after the other.
      const Phase& phase = phases_[static_cast<size_t>(i % phases)];
      const int64_t index = i / phases % pieces_;
      if (index >= phase.pieces()) continue;
      const int64_t part = i / phases / pieces_ * parts_;
      run_item({phase, phase.piece(index), part, std::min(part + parts_, parts)}, arrays, tile);
    }
  });
}

// The parts of each sample are rows that follow each other.
void RowConvolution::run_padded_rows(const Item& item, const ConvolutionArrays& arrays) const {
  const TapProblem& p = problem_;
  const auto steps = static_cast<int64_t>(padded_taps_->taps.size());
  const int64_t inputs = p.batch * p.groups * p.in_length;
  for (int64_t part = item.first_part; part < item.end_part;) {
    const int64_t group = part % p.groups;
    const int64_t rows = std::min(item.end_part - part, p.groups - group);
    const ConvolutionArrays own = arrays_of_part(arrays, p, part);
    padded_row_loop()({own.input,
                       p.in_length,
                       *padded_taps_,
                       own.weights + item.phase.weights + group * steps,
                       rows,
                       p.out_length,
                       {own.output, p.out_length, 1, own.bias, own.residual, true, true,
                        p.activation, p.residual_activation},
                       inputs > kFarFloats});
    part += rows;
  }
}

void RowConvolution::run_item(const Item& item, const ConvolutionArrays& arrays,
                              float* tile) const {
  if (padded_taps_) return run_padded_rows(item, arrays);
  const TapProblem& p = problem_;
  const Piece& piece = item.piece;
  const Phase& phase = item.phase;
  const int64_t part_inputs = p.group_inputs * p.in_length;
  const float* input = arrays.input + item.first_part * part_inputs + piece.first;
  int64_t next_input = part_inputs;
  if (!piece.in_place) {
    phase.tile.pack(input - piece.first, (item.end_part - item.first_part) * p.group_inputs,
                    p.in_length, p.padding_mode, piece.first, piece.columns, tile);
    input = tile;
    next_input = p.group_inputs * phase.tile.row_size();
  }
  for (int64_t part = item.first_part; part < item.end_part; ++part, input += next_input) {
    // The next item packs its parts all at once, and would wait for each of them.
    if (pieces_ == 1 && !piece.in_place && part + parts_ < p.batch * p.groups) {
      fetch(arrays.input + (part + parts_) * part_inputs, part_inputs);
    }
    run_part(phase, piece, part, arrays, input);
  }
}

// `input` holds what the part's outputs in the piece read.
void RowConvolution::run_part(const Phase& phase, const Piece& piece, int64_t part,
                              const ConvolutionArrays& arrays, const float* input) const {
  const TapProblem& p = problem_;
  const int64_t group = part % p.groups;
  const int64_t steps = p.group_inputs * phase.taps.count;
  const ConvolutionArrays own = arrays_of_part(arrays, p, part);
  const int64_t start = piece.first * p.taps.phases() + phase.index;
  RowPanel panel{input,
                 (piece.in_place ? phase.input_offsets : phase.tile_offsets).data(),
                 steps,
                 own.weights + phase.weights + group * p.group_outputs * steps,
                 steps,
                 p.group_outputs,
                 piece.columns,
                 piece.in_place ? piece.columns : round_up(piece.columns),
                 {own.output + start, p.out_length, p.taps.phases(), own.bias,
                  own.residual ? own.residual + start : nullptr, true, true, p.activation,
                  p.residual_activation},
                 phase.shares_vectors,
                 // Short pieces of many rows would be streamed to as many pages in turn.
                 streams_ && piece.in_place};
  if (!piece.in_place || writes_once()) return loop_.run(panel);
  run_by_channels(phase, panel);
}

// A panel of many input channels, some after the others: their sums wait in y.
void RowConvolution::run_by_channels(const Phase& phase, RowPanel panel) const {
  const int64_t most = channels_at_once() * phase.taps.count;
  panel.streams = false;
  for (int64_t left = panel.weight_stride; left > 0; left -= most) {
    panel.steps = std::min(left, most);
    panel.output.first = left == panel.weight_stride;
    panel.output.last = left <= most;
    loop_.run(panel);
    panel.offsets += most;
    panel.weights += most;
  }
}

}  // namespace engine::cpu
