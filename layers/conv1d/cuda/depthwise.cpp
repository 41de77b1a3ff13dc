#include "layers/conv1d/cuda/depthwise.h"

#include <algorithm>
#include <numeric>

namespace engine::cuda {
namespace {

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

DepthwiseTiles cut_depthwise_tiles(const Conv1dProblem& p, int per_thread) {
  const int64_t common = std::gcd(p.stride, p.dilation);
  const int64_t width = 16 / static_cast<int64_t>(size_of(p.dtype));
  DepthwiseTiles tiles;
  tiles.per_thread = per_thread;
  tiles.spacing = p.dilation / common;
  tiles.classes = std::min(p.stride / common, p.kernel_size);
  tiles.step = p.stride / common * p.dilation;
  if (tiles.spacing > kDepthwiseTileThreads) return tiles;
  const int64_t group_outputs = tiles.spacing * per_thread;
  tiles.row_groups = (p.out_length - 1) / group_outputs + 1;
  tiles.block_groups = std::min(kDepthwiseTileThreads / tiles.spacing,
                                p.batch * p.out_channels * tiles.row_groups);
  const int64_t halo =
      std::max(int64_t{0}, (p.kernel_size - 1) * p.dilation + 1 - p.stride);
  const int64_t group_inputs = group_outputs * p.stride;
  tiles.row_packs = round_up(tiles.row_groups * group_inputs + halo, width) / width;
  tiles.tap_rows = tiles.row_groups == 1
                       ? tiles.block_groups
                       : (tiles.block_groups + tiles.row_groups - 2) / tiles.row_groups + 1;
  tiles.class_taps = round_up((p.kernel_size - 1) / tiles.classes + 1, 4);
  tiles.tap_pitch = tiles.classes * tiles.class_taps;
  if (tiles.tap_pitch / 4 % 2 == 0) tiles.tap_pitch += 4;
  tiles.input_floats = round_up(
      tiles.block_groups * group_inputs + tiles.tap_rows * (halo + width) + 2 * width, 4);
  tiles.output_floats = round_up(tiles.block_groups * group_outputs + 2 * width, 4);
  return tiles;
}

}  // namespace engine::cuda
