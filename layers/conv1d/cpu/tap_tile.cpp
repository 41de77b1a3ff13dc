#include "layers/conv1d/cpu/tap_tile.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <cstdlib>
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

}  // namespace

std::vector<int64_t> positions_of(const PhaseTaps& taps, int64_t first, int64_t count) {
  std::vector<int64_t> positions;
  for (int64_t i = first; i < first + count; ++i) {
    positions.push_back(taps.offset + i * taps.shift);
  }
  return positions;
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
  const auto remainder = [&](size_t t) {
    return offsets[t] - floor_divide(offsets[t], stride) * stride;
  };
  std::vector<size_t> order(offsets.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(remainder(a), offsets[a]) < std::pair(remainder(b), offsets[b]);
  });
  for (size_t i = 0; i < order.size(); ++i) {
    const size_t t = order[i];
    const bool joins = i > 0 && remainder(t) == remainder(order[i - 1]) &&
                       offsets[t] - offsets[order[i - 1]] <= columns * stride;
    if (!joins) {
      // All inputs between those of a run are fetched with it.
      const bool fetched = std::any_of(runs_.begin(), runs_.end(), [&](const Run& run) {
        return run.fetches && std::abs(run.start - offsets[t]) < stride;
      });
      runs_.push_back({offsets[t], 0, row_size_, t, !fetched});
      row_size_ += columns;
    }
    Run& run = runs_.back();
    const int64_t shift = (offsets[t] - run.start) / stride;
    row_size_ += shift - run.more;
    run.more = shift;
    positions_[t] = static_cast<int32_t>(run.position + shift);
  }
  if (rows == Rows::kSpread) row_size_ = odd_cache_lines(row_size_);
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
  constexpr size_t kRunsAtOnce = 32;
  Extent extents[kRunsAtOnce];
  for (size_t first_run = 0; first_run < runs_.size(); first_run += kRunsAtOnce) {
    const size_t runs = std::min(runs_.size() - first_run, kRunsAtOnce);
    for (size_t i = 0; i < runs; ++i) {
      extents[i] = extent(runs_[first_run + i], length, first, count);
    }
    for (int64_t c = 0; c < channels; ++c) {
      for (size_t i = 0; i < runs; ++i) {
        const bool fetches = c + 1 < channels && runs_[first_run + i].fetches;
        if (fetches) fetch_run(extents[i], input + (c + 1) * length);
        pack_run(extents[i], input + c * length, length, mode, tile + c * row_size_);
      }
    }
  }
}

// A channel at a time: its row as this tile has it, of which every panel gets its part.
void TapTile::pack(const TapTile& panel, const float* input, int64_t channels, int64_t length,
                   PaddingMode mode, int64_t first, int64_t count, float* tiles) const {
  if (panel.columns_ == columns_) return pack(input, channels, length, mode, first, count, tiles);
  alignas(64) float row[kMaxPanelsFloats];
  const int64_t panel_floats = channels * panel.row_size_;
  for (int64_t c = 0; c < channels; ++c, input += length, tiles += panel.row_size_) {
    for (const Run& run : runs_) {
      const Extent part = extent(run, length, first, count);
      if (c + 1 < channels && run.fetches) fetch_run(part, input + length);
      pack_run(part, input, length, mode, row);
    }
    for (int64_t i = 0; i * panel.columns_ < count; ++i) {
      copy_panel(panel, row, i * panel.columns_, tiles + i * panel_floats);
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
void TapTile::fetch_run(const Extent& extent, const float* channel) const {
  const float* source = channel + extent.source + extent.begin * stride_;
  const int64_t floats = (extent.end - extent.begin) * stride_;
  for (int64_t i = 0; i < floats; i += kLineFloats) hwy::Prefetch(source + i);
}

void TapTile::pack_run(const Extent& extent, const float* channel, int64_t length, PaddingMode mode,
                       float* row) const {
  float* target = row + extent.position;
  const auto position = [&](int64_t i) { return extent.source + i * stride_; };
  pad(channel, length, mode, position(0), stride_, extent.begin, target);
  if (extent.end > extent.begin) {
    strided_copy(channel + position(extent.begin), stride_, extent.end - extent.begin,
                 target + extent.begin);
  }
  pad(channel, length, mode, position(extent.end), stride_, extent.count - extent.end,
      target + extent.end);
  std::fill(target + extent.count, target + std::max(extent.count, extent.padded), 0.0f);
}

}  // namespace engine::cpu
