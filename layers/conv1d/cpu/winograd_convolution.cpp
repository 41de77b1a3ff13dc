#include "layers/conv1d/cpu/winograd_convolution.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <numeric>

#include "engine/cpu/share_work.h"
#include "engine/round_up.h"
#include "layers/conv1d/cpu/convolution_items.h"
#include "layers/conv1d/cpu/dense_panel.h"
#include "layers/conv1d/cpu/strided_copy.h"
#include "layers/conv1d/cpu/tap_tile.h"

namespace engine::cpu {
namespace {

// Beside the tile of input they stay within a second-level cache of 512 KB.
constexpr int64_t kWeightFloats = 49152;
// What one remainder's inputs of a channel take, on a thread's stack.
constexpr int64_t kMostTaps = 48;
constexpr int64_t kMostTileColumns = 512;
constexpr int64_t kMostLanes = 16;
constexpr int64_t kMostPanelColumns = 32;
constexpr int64_t kPanelsAtOnce = 8;  // of those that lie in one piece
constexpr int64_t kMostRowFloats = kMostTileColumns + (kMostTaps / 2 + 4) * kMostLanes;
// To transform an input for one product.
constexpr double kTransformSeconds = 0.3e-9;
// Inputs are fetched that many channels ahead.
constexpr int64_t kChannelsAhead = 4;
// Plain sums of fewer products round less: where most groups have three taps, and where more have
// two, which are added up in two chunks at least.
constexpr int64_t kLeastProducts = 64;
constexpr int64_t kLeastProductsOfTwos = 192;

// For each lane of a vector of x[t] and of one of x[t + d], which hold as many whole pieces as fit,
// where it lies in two of x. Lanes beyond whole pieces are of no account.
std::vector<int32_t> order_of_inputs(int64_t lanes, int64_t distance) {
  const int64_t columns = lanes / distance * distance;
  std::vector<int32_t> order;
  for (int64_t odd = 0; odd < 2; ++odd) {
    for (int64_t i = 0; i < lanes; ++i) {
      const int64_t lane = (i / distance * 2 + odd) * distance + i % distance;
      order.push_back(i < columns ? static_cast<int32_t>(lane) : 0);
    }
  }
  return order;
}

// Where vectors hold whole pieces, of the first two vectors of outputs.
std::vector<WinogradWindow> windows_of_outputs(const WinogradLoop& loop,
                                               const WinogradColumns& columns) {
  const bool whole_pieces = columns.vector_columns % columns.distance == 0;
  const int64_t count = whole_pieces ? 2 : 2 * loop.columns / loop.lanes;
  std::vector<WinogradWindow> windows;
  int64_t taken[2] = {0, 0};  // columns of y[t] and of y[t + d]
  for (int64_t output = 0; output < count * loop.lanes; output += loop.lanes) {
    WinogradWindow window{};
    if (!whole_pieces) std::copy(taken, taken + 2, window.first);
    for (int64_t i = 0; i < loop.lanes; ++i) {
      const int64_t k = (output + i) / columns.distance % 2;
      window.lanes[i] = static_cast<int32_t>(k * loop.lanes + taken[k]++ - window.first[k]);
    }
    windows.push_back(window);
  }
  return windows;
}

// target[i] = what the channel has at position + i * stride for i < exist, and zero up to `count`.
void copy_inputs(const float* channel, const TapProblem& p, int64_t position, int64_t exist,
                 int64_t count, float* target) {
  const int64_t stride = p.taps.in_stride();
  const auto within = [&](int64_t inputs) {
    return std::clamp<int64_t>(inputs <= 0 ? 0 : ceil_divide(inputs, stride), 0, exist);
  };
  const int64_t begin = within(-position);
  const int64_t end = std::max(within(p.in_length - position), begin);
  pad(channel, p.in_length, p.padding_mode, position, stride, begin, target);
  if (end > begin) {
    strided_copy(channel + position + begin * stride, stride, end - begin, target + begin);
  }
  pad(channel, p.in_length, p.padding_mode, position + end * stride, stride, exist - end,
      target + end);
  std::fill(target + exist, target + count, 0.0f);
}

}  // namespace

WinogradTaps::WinogradTaps(const TapRule& rule) {
  const PhaseTaps taps = rule.phase(0);
  const int64_t common = std::gcd(rule.in_stride(), taps.shift);
  distance = taps.shift / common;
  step = rule.in_stride() / common;
  for (int64_t r = 0; r < std::min(step, taps.count); ++r) {
    remainders.push_back({r, taps.offset + r * taps.shift, ceil_divide(taps.count - r, step), {}});
    Remainder& remainder = remainders.back();
    for (int64_t first = 0; first < remainder.taps; first += 3) {
      const int64_t count = std::min<int64_t>(remainder.taps - first, 3);
      remainder.groups.push_back({first, count, products});
      ++products.apart;
      products.p += count >= 2;
      products.q += count == 3;
    }
  }
}

int64_t WinogradTaps::chunks(int64_t channels, const WinogradLoop& loop) const {
  const int64_t most = loop.panel_floats / (products.count() * loop.columns);
  return std::max<int64_t>(ceil_divide(channels, most), has_more_twos() ? 2 : 1);
}

WinogradColumns::WinogradColumns(int64_t outputs, int64_t d, const WinogradLoop& loop)
    : distance(d), vector_columns(loop.lanes) {
  const int64_t pairs = outputs / (2 * d);
  count = pairs * d + std::min(outputs - pairs * 2 * d, d);
  if (d <= loop.lanes) {
    span_panels = 1;
    span = panel_columns = loop.columns / d * d;
    // Where no column is lost, outputs are joined in registers.
    const int64_t pieces = loop.lanes / d * d;
    if (loop.columns / loop.lanes * pieces == panel_columns) vector_columns = pieces;
  } else {
    span_panels = ceil_divide(d, loop.columns);
    span = d;
    panel_columns = round_up(ceil_divide(d, span_panels), loop.lanes);
  }
  const int64_t spans = count / span;
  panels = spans * span_panels + ceil_divide(count - spans * span, panel_columns);
}

WinogradColumns::Panel WinogradColumns::panel(int64_t index) const {
  const int64_t within = index % span_panels * panel_columns;
  const int64_t first = index / span_panels * span + within;
  return {first, std::min({panel_columns, span - within, count - first}),
          first / distance * 2 * distance + first % distance};
}

bool WinogradConvolution::can_implement(const TapProblem& problem) {
  const PhaseTaps first = problem.taps.phase(0);
  if (problem.taps.phases() > 1 || first.shift <= 0) return false;
  const bool mostly_padding = (first.count - 1) * first.shift >= problem.in_length;
  if (mostly_padding) return false;
  const WinogradTaps taps(problem.taps);
  const WinogradLoop loop = winograd_loop();
  const bool fits = taps.remainders.front().taps <= kMostTaps &&
                    taps.products.count() * loop.columns <= loop.panel_floats;
  const int64_t products = problem.group_inputs * first.count;
  const bool rounds_less = taps.has_more_twos()
                               ? problem.group_inputs > 1 && products >= kLeastProductsOfTwos
                               : products >= kLeastProducts;
  return fits && taps.products.p > 0 && rounds_less;
}

// One part of the work: a tile of columns, and some of the rows of a group.
struct WinogradConvolution::Item {
  ConvolutionArrays arrays;  // of the item's sample and group
  int64_t group;
  int64_t first_panel;
  int64_t panels;
  int64_t first_block;
  int64_t end_block;
};

WinogradConvolution::WinogradConvolution(const TapProblem& problem, int threads)
    : problem_(problem),
      loop_(winograd_loop()),
      taps_(problem.taps),
      columns_(problem.out_length, taps_.distance, loop_),
      row_blocks_(ceil_divide(problem.group_outputs, loop_.rows)),
      weight_count_(problem.groups * row_blocks_ * loop_.rows * problem.group_inputs *
                    taps_.products.count()) {
  if (interleaves()) {
    order_ = order_of_inputs(loop_.lanes, taps_.distance);
    windows_ = windows_of_outputs(loop_, columns_);
  }
  cut();
  choose_items(threads);
}

double WinogradConvolution::seconds_of_run() const {
  return 2.0 * static_cast<double>(problem_.batch) * static_cast<double>(columns_.count) *
         static_cast<double>(weight_count_) / kThreadFlopsPerSecond;
}

// Chunks depend on the layer alone, so that every length finds the same packed weights.
void WinogradConvolution::cut() {
  const int64_t parts = taps_.chunks(problem_.group_inputs, loop_);
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t begin = part * problem_.group_inputs / parts;
    const int64_t channels = (part + 1) * problem_.group_inputs / parts - begin;
    chunks_.push_back({begin, channels, taps_.products.times(channels)});
  }
}

// Tiles of equally many panels, which hold every chunk. Threads share out short signals by output
// channel too.
void WinogradConvolution::choose_items(int threads) {
  const int64_t channels = ceil_divide(problem_.group_inputs, static_cast<int64_t>(chunks_.size()));
  const int64_t panel_floats = channels * taps_.products.count() * loop_.columns;
  const int64_t most_panels = std::max<int64_t>(
      std::min(loop_.tile_floats / panel_floats, kMostTileColumns / loop_.columns), 1);
  const int64_t parts = problem_.batch * problem_.groups;
  const double transformed =
      static_cast<double>(parts * problem_.group_inputs * taps_.products.count() * columns_.count);
  const Sharing sharing =
      share_out({parts, columns_.panels, most_panels, row_blocks_, seconds_of_run(),
                 kTransformSeconds * transformed, weight_count_ / problem_.groups},
                threads);
  tile_panels_ = sharing.units;
  tiles_ = sharing.tiles;
  splits_ = sharing.splits;
}

Tensor WinogradConvolution::pack_weights(const WeightReader& weight) const {
  Tensor packed = Tensor::zeros({weight_count_});
  float* target = packed.data<float>();
  const auto pack_block = [&](const Chunk& chunk, int64_t g, int64_t first) {
    const int64_t end = std::min(first + loop_.rows, problem_.group_outputs);
    // A product of the weights w(0), w(1) and so on of each group that has at least so many taps.
    const auto pack = [&](int64_t least_taps, const auto& product) {
      const auto pack_group = [&](int64_t c, const WinogradTaps::Remainder& remainder,
                                  const WinogradTaps::Group& group) {
        for (int64_t m = first; m < end; ++m) {
          const auto w = [&](int64_t i) {
            return double{
                weight(g, m, c, remainder.first_tap + (group.first_tap + i) * taps_.step)};
          };
          target[m - first] = static_cast<float>(product(w, group.taps));
        }
        target += loop_.rows;
      };
      for (int64_t c = chunk.first_channel; c < chunk.first_channel + chunk.channels; ++c) {
        for (const WinogradTaps::Remainder& remainder : taps_.remainders) {
          for (const WinogradTaps::Group& group : remainder.groups) {
            if (group.taps >= least_taps) pack_group(c, remainder, group);
          }
        }
      }
    };
    pack(1, [](const auto& w, int64_t) { return w(0) / 2.0; });
    pack(1, [](const auto& w, int64_t taps) { return w(taps - 1) / 2.0; });
    pack(2, [](const auto& w, int64_t taps) {
      return taps == 2 ? w(0) + w(1) : (w(0) + w(1) + w(2)) / 2.0;
    });
    pack(3, [](const auto& w, int64_t) { return (w(0) - w(1) + w(2)) / 2.0; });
  };
  for (int64_t g = 0; g < problem_.groups; ++g) {
    for (const Chunk& chunk : chunks_) {
      for (int64_t b = 0; b < row_blocks_; ++b) pack_block(chunk, g, b * loop_.rows);
    }
  }
  return packed;
}

void WinogradConvolution::run(const ConvolutionArrays& arrays, ThreadPool& threads) const {
  const int64_t items = problem_.batch * problem_.groups * tiles_ * splits_;
  threads.parallel_for(items, grain_of(items, seconds_of_run()), [&](int64_t begin, int64_t end) {
    alignas(64) float tile[kMostTileFloats];
    run_in_turn(
        begin, end, [&](int64_t i) { return item_at(i, arrays); },
        [&](const Item& item, const Item* next) { run_item(item, next, tile); });
  });
}

WinogradConvolution::Item WinogradConvolution::item_at(int64_t index,
                                                       const ConvolutionArrays& arrays) const {
  const ItemPlace place(index, tiles_, splits_);
  const int64_t first_panel = place.tile * tile_panels_;
  return {arrays_of_part(arrays, problem_, place.part),
          place.part % problem_.groups,
          first_panel,
          std::min(tile_panels_, columns_.panels - first_panel),
          place.split * row_blocks_ / splits_,
          (place.split + 1) * row_blocks_ / splits_};
}

// Those that earlier tiles have not read.
FetchAhead WinogradConvolution::inputs_of(const Item& item, const Chunk& chunk,
                                          int64_t portions) const {
  const PhaseTaps taps = problem_.taps.phase(0);
  const int64_t reach = taps.offset + (taps.count - 1) * taps.shift;
  const auto inputs_before = [&](int64_t panel) {
    if (panel == 0) return int64_t{0};
    if (panel == columns_.panels) return problem_.in_length;
    const int64_t last = columns_.panel(panel).output - 1 + taps_.distance;
    return std::clamp(last * problem_.taps.in_stride() + reach + 1, int64_t{0}, problem_.in_length);
  };
  const int64_t begin = inputs_before(item.first_panel);
  const int64_t end = inputs_before(item.first_panel + item.panels);
  return {item.arrays.input + chunk.first_channel * problem_.in_length + begin, chunk.channels,
          end - begin, problem_.in_length, portions};
}

void WinogradConvolution::run_item(const Item& item, const Item* next, float* tile) const {
  const int64_t portions = item.panels * (item.end_block - item.first_block);
  for (const Chunk& chunk : chunks_) {
    FetchAhead ahead;
    if (&chunk != &chunks_.back()) {
      ahead = inputs_of(item, *(&chunk + 1), portions);
    } else if (next != nullptr) {
      ahead = inputs_of(*next, chunks_.front(), portions);
    }
    transform(item, chunk, tile);
    run_chunk(item, chunk, tile, ahead);
  }
}

void WinogradConvolution::transform(const Item& item, const Chunk& chunk, float* tile) const {
  for (int64_t c = 0; c < chunk.channels; ++c) {
    for (const WinogradTaps::Remainder& remainder : taps_.remainders) {
      if (interleaves()) {
        transform_pieces(item, chunk, c, remainder, tile);
      } else {
        transform_rows(item, chunk, c, remainder, tile);
      }
    }
  }
}

// All panels at once, from rows of every second piece of d inputs.
void WinogradConvolution::transform_pieces(const Item& item, const Chunk& chunk, int64_t channel,
                                           const WinogradTaps::Remainder& remainder,
                                           float* tile) const {
  const WinogradColumns::Panel first = columns_.panel(item.first_panel);
  const WinogradColumns::Panel last = columns_.panel(item.first_panel + item.panels - 1);
  const int64_t columns = last.first + last.columns - first.first;
  // What split() takes apart at once, and lanes that it reads all the same.
  const int64_t width = loop_.lanes / taps_.distance * taps_.distance;
  const int64_t unused = loop_.lanes - width;
  const int64_t read = columns + loop_.lanes - 1;  // by the last panel's last vector
  const int64_t count = round_up(read + remainder.taps / 2 * taps_.distance, width);
  alignas(64) float copy[2 * kMostRowFloats];
  alignas(64) float pieces[2][kMostRowFloats];
  const float* row = item.arrays.input + (chunk.first_channel + channel) * problem_.in_length;
  const float* source = inputs_at(row, remainder, first.output, 2 * (count + unused), copy);
  const int64_t ahead = source == copy ? 0 : std::min(kChannelsAhead, chunk.channels - 1 - channel);
  loop_.split(source, order_.data(), width, count, ahead * problem_.in_length, pieces[0],
              pieces[1]);
  const float* inputs[kMostTaps + 1];
  for (int64_t i = 0; i <= remainder.taps; ++i) {
    inputs[i] = pieces[i % 2] + i / 2 * taps_.distance;
  }
  transform_groups(chunk, channel, remainder, inputs, columns, tile);
}

// As many panels at once as lie in the same piece of d inputs.
void WinogradConvolution::transform_rows(const Item& item, const Chunk& chunk, int64_t channel,
                                         const WinogradTaps::Remainder& remainder,
                                         float* tile) const {
  alignas(64) float copies[kMostTaps + 1][kPanelsAtOnce * kMostPanelColumns];
  const float* row = item.arrays.input + (chunk.first_channel + channel) * problem_.in_length;
  const float* inputs[kMostTaps + 1];
  const int64_t ahead = std::min(kChannelsAhead, chunk.channels - 1 - channel) * problem_.in_length;
  int64_t panels = 0;
  for (int64_t k = 0; k < item.panels; k += panels) {
    const int64_t index = item.first_panel + k;
    const int64_t left = columns_.span_panels - index % columns_.span_panels;
    panels = std::min({kPanelsAtOnce, left, item.panels - k});
    const WinogradColumns::Panel first = columns_.panel(index);
    const WinogradColumns::Panel last = columns_.panel(index + panels - 1);
    const int64_t columns = last.first + last.columns - first.first;
    for (int64_t i = 0; i <= remainder.taps; ++i) {
      inputs[i] = inputs_at(row, remainder, first.output + i * taps_.distance,
                            round_up(columns, loop_.lanes), copies[i]);
      if (inputs[i] == copies[i]) continue;
      for (int64_t j = 0; j < columns; j += kMostLanes) hwy::Prefetch(inputs[i] + ahead + j);
    }
    transform_groups(chunk, channel, remainder, inputs, columns,
                     tile + k * chunk.products.count() * loop_.columns);
  }
}

void WinogradConvolution::transform_groups(const Chunk& chunk, int64_t channel,
                                           const WinogradTaps::Remainder& remainder,
                                           const float* const* inputs, int64_t columns,
                                           float* panel) const {
  const WinogradProducts all = chunk.products, earlier = taps_.products.times(channel);
  const auto row = [&](int64_t product) { return panel + product * loop_.columns; };
  for (const WinogradTaps::Group& group : remainder.groups) {
    const int64_t apart = earlier.apart + group.before.apart;
    const int64_t p = 2 * all.apart + earlier.p + group.before.p;
    const int64_t q = 2 * all.apart + all.p + earlier.q + group.before.q;
    loop_.transform(inputs + group.first_tap, group.taps, columns,
                    {row(apart), row(all.apart + apart), row(p), row(q),
                     all.count() * loop_.columns, columns_.panel_columns, columns_.vector_columns});
  }
}

// What outputs from `output` on read first of the channel: `count` inputs a stride apart, where
// they are or in `copy`.
const float* WinogradConvolution::inputs_at(const float* channel,
                                            const WinogradTaps::Remainder& remainder,
                                            int64_t output, int64_t count, float* copy) const {
  const int64_t stride = problem_.taps.in_stride();
  const int64_t position = remainder.offset + output * stride;
  if (stride == 1 && position >= 0 && position + count <= problem_.in_length) {
    return channel + position;
  }
  const int64_t exist = problem_.out_length + (remainder.taps - 1) * taps_.distance - output;
  copy_inputs(channel, problem_, position, std::clamp<int64_t>(exist, 0, count), count, copy);
  return copy;
}

// All panels of the tile times as many output channels as keep their weights in the cache, then the
// next channels.
void WinogradConvolution::run_chunk(const Item& item, const Chunk& chunk, const float* tile,
                                    FetchAhead& ahead) const {
  const int64_t products = chunk.products.count();
  const int64_t block_floats = products * loop_.rows;
  const int64_t most_blocks = std::max<int64_t>(kWeightFloats / block_floats, 1);
  const float* weights = item.arrays.weights + item.group * (weight_count_ / problem_.groups) +
                         chunk.first_channel * taps_.products.count() * row_blocks_ * loop_.rows;
  WinogradPanel panel{};
  panel.products = chunk.products;
  panel.distance = taps_.distance;
  panel.vector_columns = columns_.vector_columns;
  panel.windows = windows_.data();
  panel.ahead = &ahead;
  PanelOutput& output = panel.output;
  output.row_stride = problem_.out_length;
  output.column_stride = 1;
  output.first = &chunk == &chunks_.front();
  output.last = &chunk == &chunks_.back();
  output.activation = problem_.activation;
  output.residual_activation = problem_.residual_activation;
  for (int64_t block = item.first_block; block < item.end_block; block += most_blocks) {
    const int64_t row = block * loop_.rows;
    const int64_t end_row = std::min(block + most_blocks, item.end_block) * loop_.rows;
    panel.rows = std::min(end_row, problem_.group_outputs) - row;
    panel.weights = weights + block * block_floats;
    output.bias = item.arrays.bias ? item.arrays.bias + row : nullptr;
    for (int64_t k = 0; k < item.panels; ++k) {
      const WinogradColumns::Panel place = columns_.panel(item.first_panel + k);
      const int64_t start = row * problem_.out_length + place.output;
      panel.inputs = tile + k * products * loop_.columns;
      panel.columns = place.columns;
      panel.outputs = problem_.out_length - place.output;
      output.y = item.arrays.output + start;
      output.residual = item.arrays.residual ? item.arrays.residual + start : nullptr;
      loop_.run(panel);
    }
  }
}

}  // namespace engine::cpu
