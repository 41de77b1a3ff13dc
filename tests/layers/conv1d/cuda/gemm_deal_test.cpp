// How tiles of the kernel that gathers its operands go to blocks: every one once, and the last
// round cut only where its blocks are there at once.
#include "layers/conv1d/cuda/gemm_deal.h"

#include <doctest/doctest.h>

#include "engine/round_up.h"
#include "layers/conv1d/cuda/implicit_gemm_launch.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

Conv1dProblem draw_problem(Random& random) {
  Conv1dProblem p;
  p.batch = random.integer(1, 40);
  p.in_channels = random.integer(1, 1200);
  p.out_channels = random.integer(1, 1200);
  p.kernel_size = random.integer(1, 9);
  p.out_length = p.in_length = random.integer(1, 3000);
  p.pad_left = p.kernel_size / 2;
  p.pad_right = p.kernel_size - 1 - p.pad_left;
  p.precision = Precision::kTf32;
  return p;
}

void check_deal(const cuda::GemmDeal& deal, const cuda::GemmTile& tile, const cuda::GemmPlan& plan,
                int64_t tiles, int64_t multiprocessors) {
  CHECK(deal.whole_tiles + deal.cut_tiles == tiles);
  CHECK(deal.cycles <= static_cast<double>(ceil_divide(tiles, deal.blocks)) * plan.tile_cycles);
  if (deal.cut_tiles == 0) return;
  CHECK(deal.blocks <= multiprocessors);
  CHECK(deal.whole_tiles % deal.blocks == 0);
  CHECK(deal.cut_tiles * deal.pieces <= deal.blocks);
  CHECK(deal.piece_stages % plan.tap_stages == 0);
  CHECK((deal.pieces - 1) * deal.piece_stages < plan.stages());
  CHECK(deal.pieces * deal.piece_stages >= plan.stages());
  CHECK(deal.partial_sum_bytes(tile) + deal.arrival_bytes() <= 64 << 20);
}

}  // namespace

TEST_CASE("tiles are dealt to blocks once each") {
  Random random(32);
  int cut = 0, whole = 0;
  for (int i = 0; i < 200; ++i) {
    const Conv1dProblem p = draw_problem(random);
    CAPTURE(to_string(p));
    for (const cuda::Sm90Kernel& kernel : cuda::gather_kernels_sm90_tf32()) {
      const cuda::GemmPlan plan = plan_gemm(p, kernel.tile, 1);
      if (!plan.valid) continue;
      for (const int64_t multiprocessors : {1, 4, 78, 132}) {
        const cuda::GemmDeal deal = deal_tiles(p, kernel.tile, plan, multiprocessors);
        check_deal(deal, kernel.tile, plan, implicit_gemm_tiles(p, plan), multiprocessors);
        ++(deal.cut_tiles > 0 ? cut : whole);
        if (plan.resident) CHECK(deal.cut_tiles == 0);
      }
    }
  }
  CHECK(cut > 100);
  CHECK(whole > 100);
}

}  // namespace engine::test
