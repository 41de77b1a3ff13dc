#include "layers/conv1d/cpu/tap_tile.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/round_up.h"
#include "layers/conv1d/cpu/strided_copy.h"

namespace engine::cpu {
namespace {

constexpr int64_t kLineFloats = 16;  // of a cache

int64_t odd_cache_lines(int64_t floats) {
  const int64_t lines = ceil_divide(floats, kLineFloats);
  return lines == 0 ? 0 : (lines | 1) * kLineFloats;
}

constexpr int64_t kShortRow = 64;
constexpr int64_t kManyChannels = 4;
// Runs of a comb, of whose extents there is an array on the stack.
constexpr int64_t kMostOfComb = 32;
// A row that panels get their parts of, which is on the stack too.
constexpr int64_t kMostPanelsFloats = 4096;
constexpr size_t kMostPanelsRuns = 64;

}  // namespace

std::vector<int64_t> positions_of(const PhaseTaps& taps, int64_t first, int64_t count) {
  std::vector<int64_t> positions;
  for (int64_t i = first; i < first + count; ++i) {
    positions.push_back(taps.offset + i * taps.shift);
  }
  return positions;
}

int64_t tap_remainders(const TapProblem& problem) {
  const PhaseTaps taps = problem.taps.phase(0);
  const int64_t stride = problem.taps.in_stride();
  return std::min(taps.count, stride / std::gcd(stride, taps.shift));
}

void pad(const float* channel, int64_t length, PaddingMode mode, int64_t position, int64_t stride,
         int64_t count, float* target) {
  if (mode == PaddingMode::kZeros) {
    std::fill_n(target, count, 0.0f);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t source = padded_source(position + i * stride, length, mode);
    target[i] = source < 0 ? 0.0f : channel[source];
  }
}

TapTile::TapTile(const std::vector<int64_t>& offsets, int64_t stride, int64_t columns, Rows rows)
    : stride_(stride), columns_(columns), positions_(offsets.size()) {
  find_runs(offsets);
  find_combs();
  if (rows == Rows::kSpread) row_size_ = odd_cache_lines(row_size_);
}

void TapTile::find_runs(const std::vector<int64_t>& offsets) {
  const auto remainder = [&](size_t t) {
    return offsets[t] - floor_divide(offsets[t], stride_) * stride_;
  };
  std::vector<size_t> order(offsets.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(remainder(a), offsets[a]) < std::pair(remainder(b), offsets[b]);
  });
  for (size_t i = 0; i < order.size(); ++i) {
    const size_t t = order[i];
    const bool joins = i > 0 && remainder(t) == remainder(order[i - 1]) &&
                       offsets[t] - offsets[order[i - 1]] <= columns_ * stride_;
    if (!joins) {
      runs_.push_back({offsets[t], 0, row_size_, t});
      row_size_ += columns_;
    }
    Run& run = runs_.back();
    const int64_t shift = (offsets[t] - run.start) / stride_;
    row_size_ += shift - run.more;
    run.more = shift;
    positions_[t] = static_cast<int32_t>(run.position + shift);
  }
}

void TapTile::find_combs() {
  std::sort(runs_.begin(), runs_.end(),
            [](const Run& a, const Run& b) { return a.start < b.start; });
  for (size_t first = 0; first < runs_.size(); first = combs_.back().end) {
    const int64_t start = runs_[first].start;
    Comb comb{first, first, runs_[first].more, {}};
    for (; comb.end < runs_.size(); ++comb.end) {
      const Run& run = runs_[comb.end];
      const int64_t place = run.start - start;
      if (place >= std::min(stride_, kMostOfComb)) break;
      comb.more = std::min(comb.more, run.more);
      comb.places.resize(static_cast<size_t>(place), -1);
      comb.places.push_back(static_cast<int32_t>(run.position));
    }
    const auto least = static_cast<size_t>(std::min(stride_, kLeastDeinterleaved));
    comb.places.resize(std::max(comb.places.size(), least), -1);
    combs_.push_back(std::move(comb));
  }
}

struct TapTile::Extent {
  int64_t position;  // of the run in the row
  int64_t source;    // input position that it starts at
  // Of its values, [begin, end) lie within the input, those up to `count` are read, and those up to
  // `padded` are zero.
  int64_t begin;
  int64_t end;
  int64_t count;
  int64_t padded;
  // Those of [begin, end) that are taken apart with the other runs of the comb.
  int64_t apart_begin = 0;
  int64_t apart_end = 0;
};

TapTile::Extent TapTile::extent(const Run& run, int64_t length, int64_t first,
                                int64_t count) const {
  constexpr int64_t kVectorFloats = 16;
  const int64_t columns = std::min(ceil_divide(count, kVectorFloats) * kVectorFloats, columns_);
  const int64_t source = run.start + first * stride_;
  const int64_t wanted = count + run.more;
  const int64_t begin = std::clamp(ceil_divide(-source, stride_), int64_t{0}, wanted);
  const int64_t end = std::clamp(ceil_divide(length - source, stride_), begin, wanted);
  return {run.position, source, begin, end, wanted, columns + run.more};
}

// Of each run of the comb.
void TapTile::find_extents(const Comb& comb, int64_t length, int64_t first, int64_t count,
                           Extent* extents) const {
  const size_t runs = comb.end - comb.first;
  for (size_t i = 0; i < runs; ++i) {
    extents[i] = extent(runs_[comb.first + i], length, first, count);
  }
  if (runs == 1) {
    extents->apart_begin = extents->apart_end = extents->begin;
    return;
  }
  // All inputs from the first run's place on are read, whether there is a run or not.
  const auto width = static_cast<int64_t>(comb.places.size());
  const int64_t begin = extents->begin;
  const int64_t exist = floor_divide(length - extents->source - width, stride_) + 1;
  const int64_t end = std::max(std::min(count + comb.more, exist), begin);
  for (size_t i = 0; i < runs; ++i) {
    Extent& own = extents[i];
    own.apart_begin = std::clamp(begin, own.begin, own.end);
    own.apart_end = std::clamp(end, own.apart_begin, own.end);
  }
}

// Looks every value's place up, which costs less than the parts of many short runs.
void TapTile::pack_short_rows(const float* input, int64_t channels, int64_t length,
                              PaddingMode mode, int64_t first, int64_t count, float* tile) const {
  int64_t sources[kShortRow];  // of each value of a row; -1 for a zero
  std::fill(sources, sources + kShortRow, -1);
  int64_t end = 0;
  for (const Run& run : runs_) {
    for (int64_t i = 0; i < count + run.more; ++i) {
      sources[run.position + i] = padded_source(run.start + (first + i) * stride_, length, mode);
    }
    end = std::max(end, run.position + columns_ + run.more);
  }
  for (int64_t c = 0; c < channels; ++c, input += length, tile += row_size_) {
    for (int64_t i = 0; i < end; ++i) tile[i] = sources[i] < 0 ? 0.0f : input[sources[i]];
  }
}

void TapTile::pack(const float* input, int64_t channels, int64_t length, PaddingMode mode,
                   int64_t first, int64_t count, float* tile) const {
  if (row_size_ <= kShortRow && channels >= kManyChannels) {
    return pack_short_rows(input, channels, length, mode, first, count, tile);
  }
  for (const Comb& comb : combs_) {
    Extent extents[kMostOfComb];
    find_extents(comb, length, first, count, extents);
    for (int64_t c = 0; c < channels; ++c) {
      const float* channel = input + c * length;
      if (c + 1 < channels) fetch(comb, extents, channel + length);
      pack_comb(comb, extents, channel, length, mode, tile + c * row_size_);
    }
  }
}

bool TapTile::can_pack_panels() const {
  return row_size_ <= kMostPanelsFloats && runs_.size() <= kMostPanelsRuns;
}

// A channel at a time: its row as this tile has it, of which every panel gets its part.
void TapTile::pack(const TapTile& panel, int64_t vector, const float* input, int64_t channels,
                   int64_t length, PaddingMode mode, int64_t first, int64_t count,
                   float* tiles) const {
  if (panel.columns_ == columns_) return pack(input, channels, length, mode, first, count, tiles);
  alignas(64) float row[kMostPanelsFloats];
  Extent extents[kMostPanelsRuns];
  for (const Comb& comb : combs_) {
    find_extents(comb, length, first, count, extents + comb.first);
  }
  const int64_t panel_floats = channels * panel.row_size_;
  for (int64_t c = 0; c < channels; ++c, input += length, tiles += panel.row_size_) {
    for (const Comb& comb : combs_) {
      if (c + 1 < channels) fetch(comb, extents + comb.first, input + length);
      pack_comb(comb, extents + comb.first, input, length, mode, row);
    }
    for (int64_t i = 0; i * panel.columns_ < count; ++i) {
      copy_panel(panel, row, panel_start(i, count, panel.columns_, vector),
                 tiles + i * panel_floats);
    }
  }
}

void TapTile::copy_panel(const TapTile& panel, const float* row, int64_t column,
                         float* target) const {
  for (const Run& run : panel.runs_) {
    const float* source = row + positions_[run.tap] + column;
    std::copy_n(source, panel.columns_ + run.more, target + run.position);
  }
}

// Asks for the next channel's inputs, which lie too far from this one's for the machine to foresee.
void TapTile::fetch(const Comb& comb, const Extent* extents, const float* channel) const {
  const Extent& first = extents[0];
  const Extent& last = extents[comb.end - comb.first - 1];
  const float* end = channel + last.source + last.end * stride_;
  for (const float* source = channel + first.source + first.begin * stride_; source < end;
       source += kLineFloats) {
    hwy::Prefetch(source);
  }
}

void TapTile::pack_comb(const Comb& comb, const Extent* extents, const float* channel,
                        int64_t length, PaddingMode mode, float* row) const {
  const Extent& first = extents[0];
  if (first.apart_end > first.apart_begin) {
    deinterleave(channel + first.source + first.apart_begin * stride_, stride_,
                 static_cast<int64_t>(comb.places.size()), first.apart_end - first.apart_begin,
                 row + first.apart_begin, comb.places.data());
  }
  for (size_t i = 0; i < comb.end - comb.first; ++i) {
    pack_run(extents[i], channel, length, mode, row);
  }
}

// What is not taken apart with other runs. Most of it is nothing or a few values, for which calls
// would take longer.
void TapTile::pack_run(const Extent& extent, const float* channel, int64_t length, PaddingMode mode,
                       float* row) const {
  constexpr int64_t kFewValues = 4;
  float* target = row + extent.position;
  const auto position = [&](int64_t i) { return extent.source + i * stride_; };
  const auto copy = [&](int64_t begin, int64_t end) {
    if (end - begin > kFewValues) {
      return strided_copy(channel + position(begin), stride_, end - begin, target + begin);
    }
    for (int64_t i = begin; i < end; ++i) target[i] = channel[position(i)];
  };
  const auto pad_run = [&](int64_t begin, int64_t end) {
    if (end == begin) return;
    pad(channel, length, mode, position(begin), stride_, end - begin, target + begin);
  };
  pad_run(0, extent.begin);
  copy(extent.begin, extent.apart_begin);
  copy(extent.apart_end, extent.end);
  pad_run(extent.end, extent.count);
  if (extent.padded > extent.count) {
    std::fill(target + extent.count, target + extent.padded, 0.0f);
  }
}

}  // namespace engine::cpu
