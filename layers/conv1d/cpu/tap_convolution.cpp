#include "layers/conv1d/cpu/tap_convolution.h"

#include <algorithm>

#include "layers/activation/activation_math.h"
#include "layers/conv1d/cpu/multiply_tile.h"

namespace engine::cpu {
namespace {

// The tile of input: 128 KB on the stack of the thread that works on it, within a usual L2 cache.
constexpr int64_t kTileFloats = 32768;
constexpr int64_t kMaxColumns = 2048;
// Longer sums are added up from parts of this many taps, which rounds less than one long chain.
constexpr int64_t kMaxTaps = 512;
// Below this a piece of work costs less than waking a thread for it.
constexpr double kMinFlopsPerPiece = 500e3;

// The innermost loop in two widths: the full one, and one vector for what is left of a row.
struct Loops {
  int64_t rows;
  int64_t width;
  void (*wide)(const TileProduct&, float*, int64_t);
  void (*narrow)(const TileProduct&, float*, int64_t);
};

template <int kRows, int kVectors>
constexpr Loops kLoops{kRows, kVectors* kLanes, multiply_tile<kRows, kVectors>,
                       multiply_tile<kRows, 1>};

constexpr int kMostSums = 12 * kLanes;

const Loops& loops(RowBlock rows) { return rows == RowBlock::kOne ? kLoops<1, 8> : kLoops<4, 3>; }

int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Input positions that output 0 of a phase reads through taps [first, first + count).
std::vector<int64_t> offsets(const PhaseTaps& taps, int64_t first, int64_t count) {
  std::vector<int64_t> positions;
  for (int64_t i = first; i < first + count; ++i) {
    positions.push_back(taps.offset + i * taps.shift);
  }
  return positions;
}

// target[i * stride] = f(sums[i] + bias), or + target[i * stride] where that holds earlier sums.
template <typename Math>
void store_row(Math math, const Activation& activation, const float* sums, int64_t columns,
               int64_t stride, bool first, float bias, float* target) {
  if (stride != 1) {
    for (int64_t i = 0; i < columns; ++i) {
      float& place = target[i * stride];
      place = math.apply(sums[i] + (first ? bias : place), activation);
    }
  } else if (first) {
    for (int64_t i = 0; i < columns; ++i) target[i] = math.apply(sums[i] + bias, activation);
  } else {
    for (int64_t i = 0; i < columns; ++i) target[i] = math.apply(sums[i] + target[i], activation);
  }
}

// target[i * stride] = f2(target[i * stride] + residual[i * stride]).
template <typename Math>
void add_row(Math math, const Activation& activation, const float* residual, int64_t columns,
             int64_t stride, float* target) {
  for (int64_t i = 0; i < columns; ++i) {
    target[i * stride] = math.apply(target[i * stride] + residual[i * stride], activation);
  }
}

}  // namespace

// One part of the work: a tile of outputs, and some of the output channels of a group.
struct TapConvolution::Item {
  const float* input;  // of the item's batch and group
  const float* weights;
  const float* bias;      // of the group; null where there is none
  const float* residual;  // of the item's batch and group; null where there is none
  float* output;          // of the item's batch and group
  int64_t group;
  int64_t first_column;
  int64_t first_row_block;
  int64_t end_row_block;
};

// What one call of the innermost loop has computed.
struct TapConvolution::Pass {
  int64_t row;
  int64_t column;
  int64_t columns;
  bool first;  // of the passes that add up to the result
  bool last;
};

TapConvolution::TapConvolution(const TapProblem& problem, RowBlock rows, int threads)
    : problem_(problem),
      rows_(rows),
      columns_(choose_columns(threads)),
      tiles_(ceil_divide(problem_.taps.outputs(0, problem_.out_length), columns_)),
      row_blocks_(ceil_divide(problem_.group_outputs, loops(rows_).rows)) {
  // Short signals are shared out by output channel too: four items a thread even out the work.
  const int64_t items = problem_.batch * problem_.groups * tiles_;
  splits_ = std::clamp(ceil_divide(int64_t{4} * threads, items), int64_t{1}, row_blocks_);
  for (int64_t r = 0; r < std::min(problem_.taps.phases(), problem_.out_length); ++r) {
    const PhaseTaps taps = problem_.taps.phase(r);
    phases_.push_back(
        {r, problem_.taps.outputs(r, problem_.out_length), taps, weight_count_, cut_taps(taps)});
    weight_count_ +=
        problem_.groups * row_blocks_ * loops(rows_).rows * problem_.group_inputs * taps.count;
  }
}

// The longest tile that holds all input channels of a group and leaves every thread enough tiles;
// four passes of the innermost loop where there are too many channels for that.
int64_t TapConvolution::choose_columns(int threads) const {
  const int64_t width = loops(rows_).width;
  const int64_t outputs = problem_.taps.outputs(0, problem_.out_length);
  if (outputs <= 4 * width) {
    const int64_t rest = outputs % width;
    return outputs - rest + (rest > kLanes ? width : (rest > 0 ? kLanes : 0));
  }
  const PhaseTaps taps = problem_.taps.phase(0);
  const auto fits = [&](int64_t columns) {
    const TapTile tile(offsets(taps, 0, taps.count), problem_.taps.in_stride(), columns);
    return tile.row_size() * problem_.group_inputs <= kTileFloats;
  };
  const auto enough_tiles = [&](int64_t columns) {
    return problem_.batch * problem_.groups * ceil_divide(outputs, columns) >= 4 * threads;
  };
  int64_t columns = 4 * width;
  while (2 * columns <= std::min(kMaxColumns, outputs) && fits(2 * columns) &&
         enough_tiles(2 * columns)) {
    columns *= 2;
  }
  return columns;
}

std::vector<TapConvolution::TapBlock> TapConvolution::cut_taps(const PhaseTaps& taps) const {
  const int64_t most_floats = kTileFloats / std::min<int64_t>(problem_.group_inputs, 4);
  std::vector<TapBlock> blocks;
  int64_t first = 0;
  do {
    int64_t count = std::min(taps.count - first, kMaxTaps);
    TapTile tile(offsets(taps, first, count), problem_.taps.in_stride(), columns_);
    while (count > 1 && tile.row_size() > most_floats) {
      count = ceil_divide(count, 2);
      tile = TapTile(offsets(taps, first, count), problem_.taps.in_stride(), columns_);
    }
    const int64_t channels = kTileFloats / std::max<int64_t>(tile.row_size(), 1);
    blocks.push_back({std::move(tile), first, count, channels});
    first += count;
  } while (first < taps.count);
  return blocks;
}

Tensor TapConvolution::pack_weights(
    const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight) const {
  Tensor packed = Tensor::zeros({weight_count_});
  float* target = packed.data<float>();
  const int64_t rows = loops(rows_).rows;
  for (const Phase& phase : phases_) {
    for (int64_t g = 0; g < problem_.groups; ++g) {
      for (int64_t m0 = 0; m0 < row_blocks_ * rows; m0 += rows) {
        const int64_t valid = std::min(rows, problem_.group_outputs - m0);
        for (int64_t c = 0; c < problem_.group_inputs; ++c) {
          for (int64_t i = 0; i < phase.taps.count; ++i, target += rows) {
            const int64_t k = phase.taps.first + i * phase.taps.step;
            for (int64_t r = 0; r < valid; ++r) target[r] = weight(g, m0 + r, c, k);
          }
        }
      }
    }
  }
  return packed;
}

void TapConvolution::run(const float* input, const float* weights, const float* bias,
                         const float* residual, float* output, ThreadPool& threads) const {
  const TapProblem& p = problem_;
  const int64_t items = p.batch * p.groups * tiles_ * splits_;
  const double flops = 2.0 * static_cast<double>(p.batch) * static_cast<double>(p.out_length) *
                       static_cast<double>(weight_count_) / static_cast<double>(phases_.size());
  const auto grain =
      static_cast<int64_t>(kMinFlopsPerPiece * static_cast<double>(items) / std::max(flops, 1.0));
  threads.parallel_for(items, grain + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t split = i % splits_;
      const int64_t tile = i / splits_ % tiles_;
      const int64_t part = i / splits_ / tiles_;  // batch and group
      const int64_t group = part % p.groups;
      const int64_t first_output = part * p.group_outputs * p.out_length;
      run_item({input + part * p.group_inputs * p.in_length, weights,
                bias ? bias + group * p.group_outputs : nullptr,
                residual ? residual + first_output : nullptr, output + first_output, group,
                tile * columns_, split * row_blocks_ / splits_,
                (split + 1) * row_blocks_ / splits_});
    }
  });
}

void TapConvolution::run_item(const Item& item) const {
  alignas(64) float tile[kTileFloats];
  for (const Phase& phase : phases_) {
    if (item.first_column >= phase.outputs) continue;
    for (const TapBlock& block : phase.blocks) run_block(item, phase, block, tile);
  }
}

// All input channels of one block of taps: packs as many channels as the tile holds, multiplies,
// adds to the output, and goes on with the next channels.
void TapConvolution::run_block(const Item& item, const Phase& phase, const TapBlock& block,
                               float* tile) const {
  const Loops& loop = loops(rows_);
  const int64_t channels = problem_.group_inputs;
  const int64_t columns = std::min(columns_, phase.outputs - item.first_column);
  const int64_t row_size = block.tile.row_size();
  alignas(64) float sums[kMostSums];
  for (int64_t c0 = 0; c0 < channels; c0 += block.channels) {
    const int64_t c_count = std::min(block.channels, channels - c0);
    for (int64_t c = 0; c < c_count; ++c) {
      block.tile.pack(item.input + (c0 + c) * problem_.in_length, problem_.in_length,
                      problem_.padding_mode, item.first_column, columns, tile + c * row_size);
    }
    const bool first = block.first == 0 && c0 == 0;
    const bool last = block.first + block.taps == phase.taps.count && c0 + c_count == channels;
    for (int64_t rb = item.first_row_block; rb < item.end_row_block; ++rb) {
      const int64_t rows_before = (item.group * row_blocks_ + rb) * channels + c0;
      const float* weights =
          item.weights + phase.weights + (rows_before * phase.taps.count + block.first) * loop.rows;
      for (int64_t column = 0; column < columns; column += loop.width) {
        const int64_t width = std::min(columns - column, loop.width);
        const TileProduct product{tile + column,
                                  row_size,
                                  weights,
                                  phase.taps.count * loop.rows,
                                  block.tile.positions().data(),
                                  block.taps,
                                  c_count};
        (width > kLanes ? loop.wide : loop.narrow)(product, sums, loop.width);
        finish(item, phase, {rb * loop.rows, column, width, first, last}, sums);
      }
    }
  }
}

// Adds the bias, or what earlier passes left in the output, applies the activation, and stores;
// then goes over the row, which is in the cache, for the residual.
void TapConvolution::finish(const Item& item, const Phase& phase, const Pass& pass,
                            const float* sums) const {
  const int64_t stride = problem_.taps.phases();
  const int64_t rows = std::min(loops(rows_).rows, problem_.group_outputs - pass.row);
  const int64_t start = (item.first_column + pass.column) * stride + phase.index;
  const auto kind = pass.last ? problem_.activation.kind : Activation::Kind::kIdentity;
  with_activation_math(kind, [&](auto math) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t channel = pass.row + r;
      store_row(math, problem_.activation, sums + r * loops(rows_).width, pass.columns, stride,
                pass.first, item.bias ? item.bias[channel] : 0.0f,
                item.output + channel * problem_.out_length + start);
    }
  });
  if (!pass.last || item.residual == nullptr) return;
  with_activation_math(problem_.residual_activation.kind, [&](auto math) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t first = (pass.row + r) * problem_.out_length + start;
      add_row(math, problem_.residual_activation, item.residual + first, pass.columns, stride,
              item.output + first);
    }
  });
}

}  // namespace engine::cpu
