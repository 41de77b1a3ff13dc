// How a convolution is cut for the GEMM that turns windows: every tap reads a window that the copy
// engine can bring, and all of it fits shared memory.
#include "layers/conv1d/cuda/turn_plan.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <vector>

#include "layers/conv1d/cuda/conv1d_cuda.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

constexpr int64_t kSharedBytes = 227 * 1024 - 256;

Conv1dProblem problem(int64_t taps, int64_t dilation, int64_t padding) {
  Conv1dProblem p;
  p.in_channels = p.out_channels = 64;
  p.in_length = 4096;
  p.kernel_size = taps;
  p.dilation = dilation;
  p.pad_left = p.pad_right = padding;
  p.out_length = p.in_length + 2 * padding - dilation * (taps - 1);
  p.dtype = DType::kF16;
  p.precision = Precision::kFp16;
  return p;
}

cuda::TurnPlan plan_rows(const Conv1dProblem& p, int rows) {
  const int columns = 512 / static_cast<int>(size_of(p.dtype));
  return cuda::plan_turn_gemm(p, {cuda::TurnSource::kRows, rows, columns}, kSharedBytes);
}

void check_taps(const cuda::TurnPlan& plan) {
  std::set<int> taps;
  for (int w = 0; w < plan.windows; ++w) {
    CHECK(plan.offset[w] % plan.unit_width() == 0);
    CHECK(plan.first_tap[w] < plan.first_tap[w + 1]);
    for (int i = plan.first_tap[w]; i < plan.first_tap[w + 1]; ++i) {
      const cuda::TurnTap& tap = plan.tap[i];
      taps.insert(tap.tap);
      CHECK(plan.offset[w] + tap.shift == plan.fold.first + tap.tap * plan.fold.spacing);
      CHECK(tap.shift >= 0);
      CHECK(tap.shift <= plan.reach);
    }
  }
  CHECK(static_cast<int64_t>(taps.size()) == plan.fold.taps);
  CHECK(plan.taps == plan.fold.taps);
  CHECK(plan.sides() <= cuda::kMostTurnSides);
}

// Weights of all taps are loaded, group after group, each into a slot that holds it.
void check_groups(const cuda::TurnPlan& plan) {
  CHECK(plan.first_group[plan.windows] == plan.groups);
  for (int w = 0; w < plan.windows; ++w) {
    CHECK(plan.group_tap[plan.first_group[w]] == plan.first_tap[w]);
    CHECK(plan.first_group[w] < plan.first_group[w + 1]);
    if (plan.resident) CHECK(plan.first_group[w + 1] == plan.first_group[w] + 1);
  }
  CHECK(plan.group_tap[plan.groups] == plan.taps);
  for (int g = 0; g < plan.groups; ++g) {
    const int taps = plan.group_tap[g + 1] - plan.group_tap[g];
    CHECK(taps >= 1);
    CHECK(taps * plan.tap_bytes() <= plan.weight_slot_bytes);
  }
}

void check_tiles(const Conv1dProblem& p, const cuda::TurnPlan& plan) {
  CHECK(plan.shared_bytes() <= kSharedBytes);
  CHECK(plan.ring >= 2);
  CHECK(plan.weight_ring >= (plan.resident ? plan.stages : 2));
  CHECK(plan.column_tiles * plan.advance >= p.out_length);
  CHECK((plan.column_tiles - 1) * plan.advance < p.out_length);
  CHECK(plan.row_tiles * plan.rows >= p.group_outputs());
  CHECK(plan.stages * cuda::kTurnChannels >= p.group_inputs());
  const int64_t blocks = plan.blocks(p, 132);
  CHECK(blocks >= 1);
  CHECK(blocks <= plan.tiles);
  // A block's rows stay the same where it keeps their weights.
  if (plan.resident) CHECK(blocks % (plan.row_tiles * p.groups) == 0);
}

}  // namespace

TEST_CASE("plans of turned windows serve every tap") {
  Random random(33);
  int valid = 0;
  for (int i = 0; i < 300; ++i) {
    Conv1dProblem p = problem(random.integer(1, 17), random.pick<int64_t>({1, 2, 3, 8, 12, 512}),
                              random.integer(0, 20));
    p.groups = random.pick<int64_t>({1, 1, 3});
    p.in_channels = p.groups * random.integer(1, 600);
    p.out_channels = p.groups * random.integer(1, 600);
    p.batch = random.integer(1, 5);
    p.precision = random.pick<Precision>({Precision::kFp32, Precision::kTf32, Precision::kFp16});
    p.dtype = storage_dtype(p.precision);
    if (p.out_length < 1) continue;
    CAPTURE(to_string(p));
    for (const int rows : {64, 128}) {
      const cuda::TurnPlan plan = plan_rows(p, rows);
      if (!plan.valid) continue;
      check_taps(plan);
      check_groups(plan);
      check_tiles(p, plan);
      ++valid;
    }
  }
  CHECK(valid > 300);
}

TEST_CASE("taps share a window that reaches them, and distant ones have their own") {
  const cuda::TurnPlan near = plan_rows(problem(3, 1, 1), 128);
  CHECK(near.windows == 1);
  CHECK(near.offset[0] == -8);
  CHECK(near.sides() == 2);
  const cuda::TurnPlan dilated = plan_rows(problem(3, 32, 32), 128);
  CHECK(dilated.windows == 1);
  CHECK(dilated.sides() == 8);
  const cuda::TurnPlan far = plan_rows(problem(3, 80, 80), 128);
  CHECK(far.windows == 3);
  CHECK(far.sides() == 0);
}

TEST_CASE("plans of turned windows serve taps that lie as far apart as can be") {
  Conv1dProblem p = problem(3, 1 << 20, 1 << 20);
  p.in_channels = 2;
  const cuda::TurnPlan plan = plan_rows(p, 64);
  CHECK(plan.valid);
  CHECK(plan.windows == 3);
  check_taps(plan);
  check_tiles(p, plan);
}

TEST_CASE("plans of turned windows leave out what the copy engine cannot bring") {
  Conv1dProblem odd_rows = problem(3, 1, 1);
  odd_rows.in_length -= 1;
  Conv1dProblem strided = problem(3, 1, 1);
  strided.stride = 2;
  Conv1dProblem reflected = problem(3, 1, 1);
  reflected.padding_mode = PaddingMode::kReflect;
  for (const Conv1dProblem& p : {odd_rows, strided, reflected, problem(33, 1, 16)}) {
    CHECK_FALSE(plan_rows(p, 128).valid);
  }
}

TEST_CASE("arranged planes hold what every tap reads, where plans look for it") {
  Random random(34);
  int valid = 0;
  for (int i = 0; i < 300; ++i) {
    Conv1dProblem p = problem(random.integer(1, 20), random.pick<int64_t>({1, 1, 2, 3, 40}), 0);
    p.stride = random.integer(1, 9);
    p.transposed = random.chance(0.4);
    p.in_length = random.integer(40, 3000);
    p.pad_left = p.pad_right = random.integer(0, 12);
    const int64_t span = p.dilation * (p.kernel_size - 1) + 1;
    p.out_length = p.transposed ? (p.in_length - 1) * p.stride + span - 2 * p.pad_left
                                : (p.in_length + 2 * p.pad_left - span) / p.stride + 1;
    if (p.out_length < 1 || p.in_length + 2 * p.pad_left < span) continue;
    CAPTURE(to_string(p));
    const int channels = random.pick<int>({32, 64});
    const cuda::TurnPlan plan =
        cuda::plan_turn_gemm(p, {cuda::TurnSource::kUnits, 128, 192, channels}, kSharedBytes);
    if (!plan.valid) continue;
    ++valid;
    const cuda::UnitPlanes& planes = plan.planes;
    const int64_t columns = (p.out_length + plan.fold.lead - 1) / plan.fold.phases + 1;
    for (int w = 0; w < plan.windows; ++w) {
      for (int t = plan.first_tap[w]; t < plan.first_tap[w + 1]; ++t) {
        const int64_t unit = plan.offset[w] + plan.tap[t].shift;
        CHECK(unit * planes.stride + planes.remainder[plan.plane[w]] ==
              plan.tap[t].tap * plan.fold.spacing);
        CHECK(columns - 1 + unit < planes.length);
      }
    }
    CHECK(plan.taps == plan.fold.taps);
    CHECK(planes.first == plan.fold.first);
    CHECK(plan.stages * channels >= p.group_inputs());
    CHECK(planes.units == plan.stages * channels / cuda::kOperandUnit);
    CHECK(plan.shared_bytes() <= kSharedBytes);
    CHECK(plan.column_tiles * plan.advance >= columns);
    CHECK(plan.row_tiles * plan.tile_channels() >= p.group_outputs());
  }
  CHECK(valid > 150);
}

TEST_CASE("the rows of a tile are channels with all their phases") {
  for (const int64_t stride : {1, 2, 3, 5, 8, 12}) {
    const int channels = stride % 2 == 0 ? 64 : 32;
    Conv1dProblem p = problem(2 * stride, 1, 0);
    p.transposed = true;
    p.stride = stride;
    p.out_length = (p.in_length + 1) * stride;
    const cuda::TurnPlan plan =
        cuda::plan_turn_gemm(p, {cuda::TurnSource::kUnits, 128, 192, channels}, kSharedBytes);
    REQUIRE(plan.valid);
    CHECK(plan.taps == 2);
    std::vector<float> packed(static_cast<size_t>(turn_weight_count(p, plan)));
    const auto weight = [&](int64_t, int64_t m, int64_t c, int64_t k) {
      return static_cast<float>(1 + k + p.kernel_size * (c + p.in_channels * m));
    };
    pack_turn_weights(p, plan, weight, packed.data());
    std::multiset<float> found(packed.begin(), packed.end());
    found.erase(0.0f);
    std::multiset<float> expected;
    for (int64_t i = 0; i < p.in_channels * p.out_channels * p.kernel_size; ++i) {
      expected.insert(static_cast<float>(1 + i));
    }
    CHECK(found == expected);
  }
}

TEST_CASE("few tiles of arranged units are split among the blocks of clusters") {
  Conv1dProblem p = problem(3, 1, 1);
  p.in_channels = 200;  // seven stages
  p.in_length = p.out_length = 300;
  const cuda::TurnTileSize tile{cuda::TurnSource::kUnits, 64, 128};
  const cuda::TurnPlan whole = cuda::plan_turn_gemm(p, tile, kSharedBytes);
  CHECK(whole.resident);
  CHECK(whole.blocks(p, 132) == 3);
  for (int splits = 2; splits <= 5; ++splits) {
    const cuda::TurnPlan plan = cuda::plan_turn_gemm(p, tile, kSharedBytes, false, splits);
    REQUIRE(plan.valid);
    CHECK_FALSE(plan.resident);
    CHECK(plan.blocks(p, 132) == 3 * splits);
    CHECK(plan.block_stages() * splits >= 7);
    CHECK(plan.split_sum_bytes() == (splits - 1) * 64 * 128 * 4);
    CHECK(plan.shared_bytes() <= kSharedBytes);
    CHECK(plan.has_clusters(132));
    CHECK_FALSE(plan.has_clusters(3 * splits));
  }
  CHECK_FALSE(cuda::plan_turn_gemm(p, tile, kSharedBytes, false, 8).valid);
  const cuda::TurnTileSize rows{cuda::TurnSource::kRows, 64, 256};
  CHECK_FALSE(cuda::plan_turn_gemm(problem(3, 1, 1), rows, kSharedBytes, false, 2).valid);
}

TEST_CASE("weights of many taps in f32 come in groups") {
  Conv1dProblem p = problem(17, 1, 8);
  p.in_channels = p.out_channels = 512;
  p.precision = Precision::kFp32;
  p.dtype = DType::kF32;
  const cuda::TurnPlan plan = plan_rows(p, 128);
  REQUIRE(plan.valid);
  CHECK_FALSE(plan.resident);
  CHECK(plan.windows == 1);
  CHECK(plan.groups > 1);
  check_groups(plan);
}

// Both parts together are the weight, but for the bits that f32 has and they do not.
TEST_CASE("weights of f32 are two parts, scaled for each output channel") {
  Conv1dProblem p = problem(1, 1, 0);
  p.out_channels = 3;
  p.precision = Precision::kFp32;
  p.dtype = DType::kF32;
  const cuda::TurnPlan plan = plan_rows(p, 64);
  REQUIRE(plan.valid);
  const auto weight = [](int64_t, int64_t m, int64_t c, int64_t) {
    return std::ldexp(1.0f + static_cast<float>(c) / 1000.0f, static_cast<int>(40 * m - 40));
  };
  std::vector<float> packed(static_cast<size_t>(turn_weight_count(p, plan)));
  pack_turn_weights(p, plan, weight, packed.data());
  const std::vector<float> scales = cuda::turn_row_scales(p, weight);
  for (int place = 0; place < 64; ++place) {
    const int64_t row = cuda::turn_row_at(place, false);
    for (int64_t c = 0; c < cuda::kTurnChannels; ++c) {
      const auto at = static_cast<size_t>((c / 8 * 64 + place) * 8 + c % 8);
      const float big = packed[at], rest = packed[at + 4 * 64 * 8];
      CHECK(static_cast<float>(Half(big)) == big);
      if (row >= p.out_channels) {
        CHECK(big == 0.0f);
        continue;
      }
      CHECK(big >= 16384.0f);
      CHECK(big < 32768.0f);
      const double sum = (big + static_cast<double>(rest) / 2048.0) * scales[row];
      CHECK(sum == doctest::Approx(weight(0, row, c, 0)).epsilon(0x1p-22));
    }
  }
}

TEST_CASE("a stride beyond what plans count with is refused before its phases are listed") {
  Conv1dProblem p = problem(3, 1, 1);
  p.transposed = true;
  p.stride = int64_t{1} << 40;
  CHECK_FALSE(cuda::conv1d_turn_gemm_sm90().can_implement(p));
}

}  // namespace engine::test
