// Implicit GEMM kernels on random problems, thread by thread on the CPU, against the formula in
// double.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/round_up.h"
#include "layers/conv1d/cuda/implicit_gemm.h"
#include "tests/emulation/convolution_emulation.h"
#include "tests/emulation/guarded.h"
#include "tests/support/random.h"

namespace engine::test {

// As many blocks as the case says, or with tiles that are cut one round of whole ones, if there are
// enough, on as many blocks as the others have pieces at least.
inline cuda::GemmDeal deal_for(const EmulatedCase& c, const cuda::GemmTile& tile,
                               const cuda::GemmPlan& plan) {
  const int piece_channel_stages = static_cast<int>(ceil_divide(plan.channel_stages, c.pieces));
  const auto pieces = static_cast<int>(ceil_divide(plan.channel_stages, piece_channel_stages));
  if (pieces == 1 || plan.resident) return deal_tiles(c.problem, tile, plan, c.blocks);
  const int64_t tiles = implicit_gemm_tiles(c.problem, plan);
  cuda::GemmDeal deal;
  deal.pieces = pieces;
  deal.piece_stages = piece_channel_stages * plan.tap_stages;
  deal.whole_tiles = ceil_divide(tiles * pieces, pieces + 1);
  if (deal.whole_tiles == tiles) deal.whole_tiles = 0;
  deal.cut_tiles = tiles - deal.whole_tiles;
  deal.blocks = std::max(deal.whole_tiles, deal.cut_tiles * deal.pieces);
  return deal;
}

/// Weights of type Operand, as a kernel takes them: `pack(read, target)` writes `count` of them in
/// f32.
template <typename Operand, typename T, typename Pack>
Guarded<Operand> packed_weights(const Emulation<T>& emulation, int64_t count, const Pack& pack) {
  std::vector<float> packed(static_cast<size_t>(count));
  const auto read = [&](int64_t g, int64_t m, int64_t c, int64_t k) {
    return emulation.weight(g, m, c, k);
  };
  pack(read, packed.data());
  Guarded<Operand> weights(count, 0, NAN);
  for (size_t i = 0; i < packed.size(); ++i) weights.data()[i] = static_cast<Operand>(packed[i]);
  return weights;
}

/// Runs an implicit GEMM; false where it has no plan.
template <typename T, typename Kernel>
bool launch_gemm(Emulation<T>& emulation, const Kernel& kernel) {
  const EmulatedCase& c = emulation.options();
  const Conv1dProblem& p = emulation.problem();
  cuda::GemmTile tile = kernel.tile;
  if (c.shared_bytes > 0) tile.shared_bytes = c.shared_bytes;
  const cuda::GemmPlan plan = plan_gemm(p, tile, c.split);
  if (!plan.valid) return false;
  Guarded<T> weights = packed_weights<T>(
      emulation, packed_weight_count(p, plan),
      [&](const auto& read, float* packed) { pack_gemm_weights(p, tile, plan, read, packed); });
  const cuda::GemmDeal deal = deal_for(c, tile, plan);
  cuda::ImplicitGemm gemm = implicit_gemm(p, tile, plan, deal);
  set_operands(gemm, emulation.x(), emulation.y(), p.dtype);
  gemm.weights = weights.data();
  gemm.epilogue = emulation.epilogue();
  Guarded<float> sums(deal.partial_sum_bytes(tile) / 4, 0, kUnwritten);
  std::vector<uint32_t> arrivals(static_cast<size_t>(deal.cut_tiles));
  gemm.partial_sums = sums.data();
  gemm.arrivals = arrivals.data();
  kernel.launch(gemm, plan.shared_bytes(), deal.blocks, nullptr);
  CHECK(sums.is_guard_intact(kUnwritten));
  return true;
}

inline void draw_lengths(Conv1dProblem& p, Random& random) {
  const int64_t span = p.dilation * (p.kernel_size - 1) + 1;
  const int64_t most = p.padding_mode == PaddingMode::kReflect    ? p.in_length - 1
                       : p.padding_mode == PaddingMode::kCircular ? p.in_length
                                                                  : 40;
  p.pad_left = random.integer(0, std::min<int64_t>(most, 40));
  p.pad_right = random.integer(0, std::min<int64_t>(most, 40));
  if (p.transposed) {
    p.out_length = (p.in_length - 1) * p.stride + span - p.pad_left - p.pad_right;
  } else {
    const int64_t padded = p.in_length + p.pad_left + p.pad_right;
    p.out_length = padded < span ? 0 : (padded - span) / p.stride + 1;
  }
}

inline Conv1dProblem draw_problem(Random& random) {
  Conv1dProblem p;
  do {
    p.batch = random.integer(1, 2);
    p.groups = random.pick<int64_t>({1, 1, 2});
    p.in_channels = p.groups * random.pick<int64_t>({1, 2, 3, 5, 8, 17, 24, 40});
    p.out_channels = p.groups * random.pick<int64_t>({1, 8, 17, 64, 70, 130});
    p.kernel_size = random.pick<int64_t>({1, 1, 2, 3, 3, 5, 11});
    p.stride = random.pick<int64_t>({1, 1, 1, 2, 3, 5});
    p.dilation = random.pick<int64_t>({1, 1, 2, 3, 40});
    p.transposed = random.chance(0.25);
    if (p.transposed && random.chance(0.3)) p.stride = random.pick<int64_t>({8, 10, 16});
    p.padding_mode = p.transposed || random.chance(0.6)
                         ? PaddingMode::kZeros
                         : random.pick<PaddingMode>({PaddingMode::kReflect, PaddingMode::kReplicate,
                                                     PaddingMode::kCircular});
    p.in_length = random.pick<int64_t>({1, 7, 40, 128, 131, 256, 301, 520});
    draw_lengths(p, random);
  } while (p.out_length < 1 || p.flops() > 2e8);
  p.bias = random.chance(0.7);
  return p;
}

// f, f2 and a residual as the kernel may have them.
inline void draw_epilogue(Conv1dProblem& p, bool plain, Random& random) {
  using Kind = Activation::Kind;
  p.activation.kind = random.pick<Kind>({Kind::kIdentity, Kind::kReLU, Kind::kLeakyReLU});
  p.activation.parameter = 0.1f;
  if (!plain) p.activation.kind = random.pick<Kind>({Kind::kIdentity, Kind::kGELU, Kind::kSiLU});
  p.residual = random.chance(plain ? 0.3 : 0.7);
  if (p.residual && random.chance(0.5)) p.residual_activation.kind = Kind::kReLU;
}

/// Ten problems for each of the kernels, but for those that `takes` leaves out; `is_plain` says
/// which take no activation but bends.
template <typename T, typename Kernel, typename IsPlain>
void check_emulated(
    const std::vector<Kernel>& kernels, IsPlain is_plain, Precision precision, double tolerance,
    uint64_t first_seed,
    bool (*takes)(const Conv1dProblem&) = [](const Conv1dProblem&) { return true; }) {
  for (uint64_t seed = first_seed; seed < first_seed + 10; ++seed) {
    for (size_t i = 0; i < kernels.size(); ++i) {
      Random random(seed * 16 + i);
      EmulatedCase c;
      do {
        c.problem = draw_problem(random);
      } while (!takes(c.problem));
      c.problem.precision = precision;
      c.problem.dtype = storage_dtype(precision);
      draw_epilogue(c.problem, is_plain(kernels[i], random), random);
      if (kernels[i].tile.gathers) c.problem.residual = false;
      if (!c.problem.transposed) c.split = random.pick<int64_t>({1, 1, 2, 3, 8});
      if (random.chance(0.3)) c.shared_bytes = random.integer(40, 120) * 1024;
      c.x_shift = random.chance(0.5) ? 0 : random.integer(1, 3);  // rows from 16 bytes on
      c.y_shift = random.integer(0, 3);
      c.blocks = random.integer(1, 3);
      if (kernels[i].tile.gathers && random.chance(0.5)) c.pieces = random.pick<int>({2, 3});
      INFO("seed ", seed, ", kernel ", i, ": ", to_string(c.problem), " split ", c.split,
           " pieces ", c.pieces);
      const double error = Emulation<T>(c, random).run(
          [&](Emulation<T>& emulation) { return launch_gemm(emulation, kernels[i]); });
      CHECK(error < tolerance);
      // Rows of x that lie far apart may be too many to gather from.
      const bool may_lack_room = kernels[i].tile.gathers && c.split > 1;
      if (c.shared_bytes == 0 && !may_lack_room) CHECK(error >= 0.0);
    }
  }
}

/// Rows of these lengths and of `channels` inputs, in TF32.
template <typename Kernel>
void check_row_ends(const Kernel& kernel, const std::vector<int64_t>& lengths,
                    int64_t channels = 3) {
  for (const int64_t length : lengths) {
    EmulatedCase c;
    c.problem.in_channels = channels;
    c.problem.out_channels = 12;
    c.problem.in_length = c.problem.out_length = length;
    c.problem.precision = Precision::kTf32;
    Random random(static_cast<uint64_t>(length));
    CAPTURE(length);
    const auto launch = [&](Emulation<float>& e) { return launch_gemm(e, kernel); };
    CHECK(Emulation<float>(c, random).run(launch) < 6e-4);
  }
}

}  // namespace engine::test
