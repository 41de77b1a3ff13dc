#include "layers/conv1d/cuda/depthwise.h"

#include <algorithm>
#include <numeric>

#include "engine/round_up.h"

namespace engine::cuda {
namespace {

// Enough to keep a large GPU's multiprocessors busy to the end.
constexpr int64_t kManyBlocks = 132 * 8;

// Packs of shared memory for a warp: with which a multiprocessor still takes eight blocks; with
// which it takes four; and at most.
constexpr int64_t kGoodWarpPacks = (6 << 10) / 16;
constexpr int64_t kManyWarpPacks = (14 << 10) / 16;
constexpr int64_t kMostWarpPacks = (24 << 10) / 16;

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

// Gives a warp that many passes of a row, or fewer, and the shared memory for them.
void set_segment(const Conv1dProblem& p, int64_t most_passes, int64_t row_passes,
                 DepthwisePacks& cut) {
  const int64_t width = pack_width(p);
  cut.row_segments = (row_passes - 1) / most_passes + 1;
  cut.segment = ((row_passes - 1) / cut.row_segments + 1) * kDepthwisePass * width;
  // Windows that do not overlap are staged one behind the other, each aligned as in memory.
  const int64_t line = 8 * width;
  const int64_t apart = round_up(cut.segment, line) + line + p.dilation % line;
  cut.staged_dilation = std::min(p.dilation, apart);
  // With a line before the first and two packs behind the last.
  const int64_t reach = line + (cut.group_taps - 1) * cut.staged_dilation + cut.segment;
  cut.warp_packs = (reach - 1) / width + 3;
}

}  // namespace

DepthwisePacks cut_depthwise_packs(const Conv1dProblem& p, int64_t most_passes) {
  const int64_t width = pack_width(p);
  const int64_t pass = kDepthwisePass * width;
  // A row may begin anywhere in its first sector of 32 bytes.
  const int64_t row_passes = (p.out_length + 2 * width - 2) / pass + 1;
  DepthwisePacks cut;
  // Taps beyond eight are read by vectors.
  cut.weights = {1, p.kernel_size > 8 ? round_up(p.kernel_size, 8) : p.kernel_size};
  cut.group_taps = p.kernel_size;
  set_segment(p, most_passes, row_passes, cut);
  // Smaller segments, unless most of what they read would be read again for the next.
  while (cut.segment > pass && (cut.warp_packs > kManyWarpPacks ||
                                (cut.warp_packs > kGoodWarpPacks &&
                                 cut.segment > 4 * (cut.group_taps - 1) * cut.staged_dilation))) {
    set_segment(p, cut.segment / pass / 2, row_passes, cut);
  }
  if (cut.warp_packs > kMostWarpPacks) {
    const int64_t room = kMostWarpPacks * width - 12 * width - pass;
    cut.group_taps = (room / cut.staged_dilation + 1) / 8 * 8;
    set_segment(p, 1, row_passes, cut);
  }
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
