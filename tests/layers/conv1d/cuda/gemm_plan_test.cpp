// How a convolution is cut for the implicit matrix product: code of the host, which needs no GPU.
// A plan is right where its windows, steps and packed weights, multiplied as its header describes,
// give the convolution.
#include "layers/conv1d/cuda/gemm_plan.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "layers/conv1d/conv1d_taps.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

using cuda::GemmPlan;
using cuda::GemmTile;

struct Values {
  std::vector<float> x;  // [in_channels, in_length]
  std::vector<float> w;  // as the layer's parameter

  float input(const Conv1dProblem& p, int64_t channel, int64_t position) const {
    if (channel >= p.in_channels || position < 0 || position >= p.in_length) return 0.0f;
    return x[static_cast<size_t>(channel * p.in_length + position)];
  }
  float weight(const Conv1dProblem& p, int64_t g, int64_t m, int64_t c, int64_t k) const {
    const int64_t C = p.group_inputs(), M = p.group_outputs();
    const int64_t row = p.transposed ? (g * C + c) * M + m : (g * M + m) * C + c;
    return w[static_cast<size_t>(row * p.kernel_size + k)];
  }
};

// Small integers, whose sums are exact in every precision.
Values draw_values(const Conv1dProblem& p, Random& random) {
  Values values;
  values.x.resize(static_cast<size_t>(p.in_channels * p.in_length));
  values.w.resize(static_cast<size_t>(p.in_channels * p.group_outputs() * p.kernel_size));
  for (float& x : values.x) x = static_cast<float>(random.integer(-3, 3));
  for (float& w : values.w) w = static_cast<float>(random.integer(-3, 3));
  return values;
}

float direct(const Conv1dProblem& p, const Values& values, int64_t m, int64_t l) {
  const int64_t g = m / p.group_outputs();
  float sum = 0.0f;
  for (int64_t k = 0; k < p.kernel_size; ++k) {
    int64_t position = l * p.stride - p.pad_left + k * p.dilation;
    if (p.transposed) {
      const int64_t from = l + p.pad_left - k * p.dilation;
      if (from % p.stride != 0) continue;
      position = from / p.stride;
    }
    for (int64_t c = 0; c < p.group_inputs(); ++c) {
      sum += values.weight(p, g, m % p.group_outputs(), c, k) *
             values.input(p, g * p.group_inputs() + c, position);
    }
  }
  return sum;
}

// What a kernel computes of a plan: one row and column of one tile.
class PlannedProduct {
 public:
  PlannedProduct(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                 const Values& values)
      : p_(p), tile_(tile), plan_(plan), values_(values) {
    packed_.resize(static_cast<size_t>(packed_weight_count(p, plan)));
    const auto weight = [&](int64_t g, int64_t m, int64_t c, int64_t k) {
      return values.weight(p, g, m, c, k);
    };
    pack_gemm_weights(p, tile, plan, weight, packed_.data());
  }

  float output(int64_t group, int64_t row, int64_t column) const {
    float sum = 0.0f;
    for (int64_t stage = 0; stage < plan_.stages(); ++stage) {
      for (int64_t unit = 0; unit < 2 * plan_.steps; ++unit) {
        for (int e = 0; e < elements(); ++e) {
          sum += weight(group, row, stage, unit, e) * input(group, column, stage, unit, e);
        }
      }
    }
    return sum;
  }

 private:
  int elements() const { return plan_.unit_channels * plan_.unit_taps; }

  float weight(int64_t group, int64_t row, int64_t stage, int64_t unit, int e) const {
    const int64_t block = group * plan_.row_tiles + row / tile_.rows;
    const int64_t units = (block * plan_.stages() + stage) * tile_.parts * 2 * plan_.steps + unit;
    return packed_[static_cast<size_t>((units * tile_.rows + row % tile_.rows) * elements() + e)];
  }

  // Element e of the window's unit that step unit / 2 reads for a column. A place in the window is
  // a unit of channels, an array, and a row of it.
  float input(int64_t group, int64_t column, int64_t stage, int64_t unit, int e) const {
    const cuda::GemmStep step = plan_.step[unit / 2];
    const int64_t place = (step & 0xffff) + (unit % 2) * (step >> 16) + column;
    const int64_t channel_unit = place / plan_.unit_pitch;
    const int64_t array = place % plan_.unit_pitch / plan_.residue_pitch;
    const int64_t row = place % plan_.unit_pitch % plan_.residue_pitch;
    CHECK(channel_unit < plan_.stage_units);
    CHECK(row < plan_.window_rows);
    const int64_t first_channel = stage / plan_.tap_stages * plan_.stage_units;
    const int64_t channel =
        (first_channel + channel_unit) * plan_.unit_channels + e / plan_.unit_taps;
    if (channel >= p_.group_inputs()) return 0.0f;
    const int64_t first_tap = stage % plan_.tap_stages * plan_.stage_taps * plan_.unit_taps;
    const int64_t position = row * plan_.fold.stride + plan_.residue[array] + plan_.fold.first +
                             (first_tap + e % plan_.unit_taps) * plan_.fold.spacing;
    return values_.input(p_, group * p_.group_inputs() + channel, position);
  }

  const Conv1dProblem& p_;
  const GemmTile& tile_;
  const GemmPlan& plan_;
  const Values& values_;
  std::vector<float> packed_;
};

// Checks the first tile's columns of every row, and that every output of theirs is in some row.
void check_plan(const Conv1dProblem& p, const GemmTile& tile, const GemmPlan& plan,
                Random& random) {
  const Values values = draw_values(p, random);
  const PlannedProduct product(p, tile, plan, values);
  const int64_t columns = std::min<int64_t>(plan.columns, tile.columns);
  int64_t outputs = 0;
  for (int64_t group = 0; group < p.groups; ++group) {
    for (int64_t row = 0; row < plan.group_rows; ++row) {
      const cuda::GemmRow place = row_at(p, plan, row);
      if (place.phase >= 0) ++outputs;
      for (int64_t q = row % 7; q < columns; q += 7) {
        const int64_t l = q * plan.fold.phases + place.phase - plan.fold.lead;
        if (place.phase >= 0 && (l < 0 || l >= p.out_length)) continue;
        const float expected =
            place.phase < 0 ? 0.0f
                            : direct(p, values, group * p.group_outputs() + place.channel, l);
        CAPTURE(row);
        CAPTURE(q);
        CHECK(product.output(group, row, q) == expected);
      }
    }
  }
  CHECK(outputs == p.out_channels * plan.fold.phases);
}

Conv1dProblem random_problem(Random& random) {
  Conv1dProblem p;
  p.groups = random.pick<int64_t>({1, 1, 2});
  p.in_channels = p.groups * random.pick<int64_t>({1, 2, 3, 5, 20});
  p.out_channels = p.groups * random.pick<int64_t>({1, 5, 12});
  p.kernel_size = random.pick<int64_t>({1, 2, 3, 7, 16});
  p.stride = random.pick<int64_t>({1, 1, 2, 3, 5, 10});
  p.dilation = random.pick<int64_t>({1, 1, 2, 3, 40});
  p.pad_left = random.integer(0, 5);
  p.transposed = random.chance(0.3);
  p.in_length = random.integer(1, 60);
  const int64_t span = p.dilation * (p.kernel_size - 1) + 1;
  p.pad_right = std::max<int64_t>(0, span - p.in_length);
  p.out_length = p.transposed
                     ? std::max<int64_t>(1, (p.in_length - 1) * p.stride + span - p.pad_left)
                     : (p.in_length + p.pad_left + p.pad_right - span) / p.stride + 1;
  p.precision = random.pick<Precision>({Precision::kTf32, Precision::kFp16});
  p.dtype = storage_dtype(p.precision);
  return p;
}

}  // namespace

TEST_CASE("windows, steps and packed weights of a plan give the convolution") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    const Conv1dProblem p = random_problem(random);
    GemmTile tile;
    tile.rows = 64;
    tile.shared_bytes = random.pick<int64_t>({40, 100, 200}) * 1024;
    const GemmPlan plan = plan_gemm(p, tile, p.transposed ? 1 : random.integer(1, 4));
    INFO("seed ", seed, ": ", to_string(p));
    REQUIRE(plan.valid);
    CHECK(plan.shared_bytes() <= tile.shared_bytes);
    check_plan(p, tile, plan, random);
  }
}

TEST_CASE("a plan that shared memory does not hold twice is not valid") {
  Conv1dProblem p;
  p.in_channels = p.out_channels = 64;
  p.in_length = p.out_length = 1000;
  GemmTile tile;
  tile.shared_bytes = 4096;
  CHECK_FALSE(plan_gemm(p, tile, 1).valid);
}

TEST_CASE("phases of far taps are not split, which would leave nearly nothing but zeros") {
  Conv1dProblem p;
  p.in_channels = 6;
  p.out_channels = 3;
  p.kernel_size = 200;
  p.dilation = 300;
  p.in_length = p.out_length = 400;
  p.pad_left = p.pad_right = p.dilation * (p.kernel_size - 1) / 2;
  const GemmTile tile{64, 128, 128, 1, 80 * 1024};
  CHECK(cuda::plan_gemm(p, tile, 1).valid);
  CHECK_FALSE(cuda::plan_gemm(p, tile, 2).valid);
  p.dilation = 1 << 20;  // a table of them would take 3 GB
  CHECK_FALSE(cuda::plan_gemm(p, tile, 2).valid);
}

TEST_CASE("tiles overlap by a sector where rows of the output are not aligned") {
  Conv1dProblem p;
  p.in_channels = p.out_channels = 16;
  p.in_length = p.out_length = 1024;
  GemmTile tile;
  tile.shared_bytes = 100 * 1024;
  CHECK(plan_gemm(p, tile, 1).advance == tile.columns);
  p.in_length = p.out_length = 1023;
  CHECK(plan_gemm(p, tile, 1).advance == tile.columns - 8);
  p.dtype = DType::kF16;
  CHECK(plan_gemm(p, tile, 1).advance == tile.columns - 16);
}

TEST_CASE("the phases of a transposed convolution share their inputs") {
  // Output l = 4 p - 2 + k: a phase has two of the eight taps. Counted from output -2 on, all
  // phases read the same two inputs.
  const PhaseFold fold = fold_phases(TapRule::transposed(8, 4, 1, 2), 1);
  CHECK(fold.phases == 4);
  CHECK(fold.lead == 2);
  CHECK(fold.stride == 1);
  CHECK(fold.first == -1);
  REQUIRE(fold.taps == 2);
  for (int64_t phase = 0; phase < 4; ++phase) {
    CHECK(fold.tap(phase, 0) == phase + 4);
    CHECK(fold.tap(phase, 1) == phase);
  }
  // Three taps by steps of two read two inputs wherever phases are counted from.
  CHECK(fold_phases(TapRule::transposed(3, 2, 1, 1), 1).lead == 0);
}

}  // namespace engine::test
