#include "layers/conv1d/cuda/depthwise.h"

#include <algorithm>
#include <numeric>

#include "engine/round_up.h"

namespace engine::cuda {
namespace {

// Enough to keep a large GPU's multiprocessors busy to the end.
constexpr int64_t kManyBlocks = 132 * 8;

// Bytes of shared memory with which a multiprocessor still takes five blocks.
constexpr int64_t kSmallBlock = 44 << 10;

// Elements of 16 bytes.
int64_t pack_width(const Conv1dProblem& p) { return 16 / static_cast<int64_t>(size_of(p.dtype)); }

// Gives each block that many groups, and the shared memory for them.
void set_block_groups(const Conv1dProblem& p, int64_t block_groups, DepthwiseTiles& cut) {
  const int64_t width = pack_width(p);
  const int64_t halo = std::max(int64_t{0}, (p.kernel_size - 1) * p.dilation + 1 - p.stride);
  const int64_t group_outputs = cut.spacing * cut.per_thread;
  const int64_t group_inputs = group_outputs * p.stride;
  cut.block_groups = block_groups;
  cut.rows = std::min(block_groups, (block_groups + cut.row_groups - 2) / cut.row_groups + 1);
  // A row may begin anywhere in its first pack.
  cut.row_packs = (cut.row_groups * group_inputs + halo + width - 2) / width + 1;
  cut.input_packs = block_groups * group_inputs / width + cut.rows * (halo / width + 3) + 1;
  cut.output_floats = round_up(block_groups * group_outputs + 2 * width, 4);
}

}  // namespace

DepthwisePacks cut_depthwise_packs(const Conv1dProblem& p) {
  const int64_t width = pack_width(p);
  const int64_t pass = 32 * width;
  const int64_t outputs = p.batch * p.out_channels * p.out_length;
  // Up to eight packs for each lane while there are segments for all.
  int64_t most = pass;
  while (most < 8 * pass && outputs >= 2 * most * kManyBlocks * kDepthwisePackWarps) most *= 2;
  DepthwisePacks cut;
  cut.weights = {1, p.kernel_size};
  // A row may begin anywhere in its first sector of 32 bytes.
  const int64_t sector = 2 * width;
  const int64_t length = p.out_length + sector - 1;
  const int64_t segments = (length - 1) / most + 1;
  cut.segment = round_up((length - 1) / segments + 1, sector);
  cut.row_segments = (length - 1) / cut.segment + 1;
  return cut;
}

DepthwiseTiles cut_depthwise_tiles(const Conv1dProblem& p, int per_thread) {
  const int64_t common = std::gcd(p.stride, p.dilation);
  DepthwiseTiles cut;
  const int64_t classes = std::min(p.stride / common, p.kernel_size);
  cut.weights = {classes, round_up((p.kernel_size - 1) / classes + 1, 4)};
  // Rows' taps fall into different banks.
  cut.tap_pitch = cut.weights.pitch() / 4 % 2 == 0 ? cut.weights.pitch() + 4 : cut.weights.pitch();
  cut.per_thread = per_thread;
  cut.spacing = p.dilation / common;
  cut.step = p.stride * cut.spacing;
  if (cut.spacing > kDepthwiseTileThreads) return cut;
  cut.row_groups = (p.out_length - 1) / (cut.spacing * per_thread) + 1;
  // Two groups for each thread share the work of setting a block up, where that leaves enough
  // blocks, and small ones.
  const int64_t groups = p.batch * p.out_channels * cut.row_groups;
  const int64_t at_once = kDepthwiseTileThreads / cut.spacing;
  set_block_groups(p, 2 * at_once, cut);
  if (groups < 2 * at_once * kManyBlocks || cut.shared_bytes() > kSmallBlock) {
    set_block_groups(p, std::min(at_once, groups), cut);
  }
  return cut;
}

}  // namespace engine::cuda
