// The Hopper GEMM that turns windows, of rows of x and of arranged units, thread by thread on the
// CPU, against the formula in double.
#include "layers/conv1d/cuda/turn_gemm_sm90.cuh"

#include <doctest/doctest.h>

#include "layers/conv1d/cuda/arrange_units.cu"
#include "tests/emulation/gemm_emulation.h"

namespace engine::test {
namespace {

// What the tensor cores multiply.
template <typename T>
using Operand = std::conditional_t<sizeof(T) == 4, __half, T>;

// Runs a kernel; false where it has no plan.
template <typename T>
bool launch_turned(Emulation<T>& emulation, const cuda::TurnKernel& kernel, bool streamed,
                   bool join = false, int splits = 1) {
  const Conv1dProblem& p = emulation.problem();
  const int64_t most = emulation.options().shared_bytes;
  cuda::TurnPlan plan =
      cuda::plan_turn_gemm(p, kernel.tile, most > 0 ? most : kernel.shared_bytes, streamed, splits);
  if (!plan.valid) return false;
  if (join) {
    REQUIRE(plan.can_join(p));
    plan.lay_tiles(p, true);
  }
  std::vector<float> row_scales;
  Guarded<Operand<T>> weights = packed_weights<Operand<T>>(
      emulation, turn_weight_count(p, plan), [&](const auto& read, float* packed) {
        pack_turn_weights(p, plan, read, packed);
        row_scales = cuda::turn_row_scales(p, read);
      });
  cuda::TurnGemm gemm = turn_gemm(p, plan);
  gemm.row_scales = row_scales.data();
  const int64_t behind = int64_t{plan.positions()} * 16;
  Guarded<T> units((p.batch * plan.planes.sample_bytes(p.groups) + behind) / sizeof(T), 0, NAN);
  std::vector<char> scale_memory(cuda::UnitScales::bytes_of(p.batch * p.groups));
  const cuda::UnitScales scales(scale_memory.data(), p.batch * p.groups);
  if (kernel.tile.source == cuda::TurnSource::kUnits) {
    arrange_units(p, plan.planes, emulation.x(), scales, units.data(), nullptr);
    gemm.units = reinterpret_cast<const char*>(units.data());
    gemm.unit_scales = scales.of_groups;
  } else {
    set_rows(gemm, p, emulation.x(), cuda::emulated_tensor_map);
  }
  gemm.y = emulation.y();
  gemm.weights = weights.data();
  gemm.epilogue = emulation.epilogue();
  kernel.launch(gemm, plan.shared_bytes(), plan.blocks(p, emulation.options().blocks), nullptr);
  return true;
}

template <typename T>
Conv1dProblem draw_turn_problem(Random& random) {
  Conv1dProblem p = draw_problem(random);
  if (!p.transposed) p.stride = 1;
  p.padding_mode = PaddingMode::kZeros;
  do {
    p.in_length = 16 / static_cast<int64_t>(sizeof(T)) * random.integer(1, 70);
    p.dilation = random.pick<int64_t>({1, 1, 2, 3, 8, 40});
    draw_lengths(p, random);
  } while (p.out_length < 1);
  return p;
}

// What windows of rows take, or with units anything.
template <typename T>
Conv1dProblem draw_problem_for(cuda::TurnSource source, Random& random) {
  if (source == cuda::TurnSource::kUnits) return draw_problem(random);
  return draw_turn_problem<T>(random);
}

// To 70 channels, as long as the input.
EmulatedCase three_taps(int64_t batch, int64_t channels, int64_t length) {
  EmulatedCase c;
  c.problem.batch = batch;
  c.problem.in_channels = channels;
  c.problem.out_channels = 70;
  c.problem.in_length = c.problem.out_length = length;
  c.problem.kernel_size = 3;
  c.problem.pad_left = c.problem.pad_right = 1;
  return c;
}

template <typename T, int kParts, cuda::TurnSource kSource>
void check_random_problems(Precision precision, double most_error) {
  int computed = 0;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    for (const cuda::TurnKernel& kernel : cuda::turn_kernels_sm90<T, kParts>()) {
      if (kernel.tile.source != kSource) continue;
      Random random(500 + seed);
      EmulatedCase c;
      c.problem = draw_problem_for<T>(kSource, random);
      c.problem.precision = precision;
      c.problem.dtype = storage_dtype(precision);
      draw_epilogue(c.problem, true, random);
      c.problem.residual = false;
      c.x_shift = kSource == cuda::TurnSource::kUnits ? random.integer(0, 3) : 0;
      c.y_shift = random.integer(0, 17);
      c.blocks = random.integer(1, 3);
      const bool streamed = random.integer(1, 2) == 2;
      const bool can_split = kSource == cuda::TurnSource::kUnits &&
                             c.problem.group_inputs() > kernel.tile.stage_channels;
      const int splits = can_split ? random.pick<int>({1, 2}) : 1;
      if (seed % 3 == 0) c.shared_bytes = static_cast<int64_t>(120 + 2 * seed) * 1024;
      INFO("seed ", seed, ", ", kernel.tile.rows, " rows, ", kernel.tile.columns, " columns, ",
           splits, " splits: ", to_string(c.problem));
      const double error = Emulation<T>(c, random).run(
          [&](Emulation<T>& e) { return launch_turned(e, kernel, streamed, false, splits); });
      CHECK(error < most_error);
      if (error >= 0.0) ++computed;
    }
  }
  CHECK(computed >= 45);
}

}  // namespace

TEST_CASE("the Hopper GEMM that turns windows on random problems, in TF32") {
  check_random_problems<float, 1, cuda::TurnSource::kRows>(Precision::kTf32, 6e-4);
}

TEST_CASE("the Hopper GEMM that turns windows on random problems, in f32") {
  check_random_problems<float, 2, cuda::TurnSource::kRows>(Precision::kFp32, 2e-7);
}

TEST_CASE("the Hopper GEMM that turns windows on random problems, in f16") {
  check_random_problems<__half, 1, cuda::TurnSource::kRows>(Precision::kFp16, 6e-4);
}

TEST_CASE("the Hopper GEMM of arranged units on random problems, in TF32") {
  check_random_problems<float, 1, cuda::TurnSource::kUnits>(Precision::kTf32, 6e-4);
}

TEST_CASE("the Hopper GEMM of arranged units on random problems, in f32") {
  check_random_problems<float, 2, cuda::TurnSource::kUnits>(Precision::kFp32, 2e-7);
}

TEST_CASE("the Hopper GEMM of arranged units on random problems, in f16") {
  check_random_problems<__half, 1, cuda::TurnSource::kUnits>(Precision::kFp16, 6e-4);
}

// Whatever f32 is scaled by; f16 holds 2^-14 to 2^15.
TEST_CASE("the Hopper GEMM of turned and arranged operands on very large and very small f32") {
  for (const cuda::TurnKernel& kernel : cuda::turn_kernels_sm90<float, 2>()) {
    for (const int exponent : {-100, -40, 40, 120}) {
      CAPTURE(exponent);
      EmulatedCase c = three_taps(1, 40, 256);
      c.exponent = exponent;
      Random random(800);
      const double error = Emulation<float>(c, random).run(
          [&](Emulation<float>& e) { return launch_turned(e, kernel, false); });
      CHECK(error >= 0.0);
      CHECK(error < 2e-7);
    }
  }
}

// The first sample is scaled by some of its values, and again by all of them; the second is not.
TEST_CASE("the Hopper GEMM of arranged units on a value much larger than the others") {
  EmulatedCase c = three_taps(2, 40, 256);
  c.second_exponent = 16;
  Random random(900);
  const double error = Emulation<float>(c, random).run([](Emulation<float>& emulation) {
    const auto kernel = cuda::turn_kernel_sm90<float, 2, cuda::TurnSource::kUnits, 128, 128>();
    return launch_turned(emulation, kernel, false);
  });
  CHECK(error >= 0.0);
  CHECK(error < 2e-7);
}

// Phases that fill half a tile, leave rows of it over, and do not divide sixteen rows.
TEST_CASE("the Hopper GEMM of arranged units on transposed problems of many phases, in f16") {
  uint64_t seed = 700;
  for (const int64_t stride : {2, 3, 4, 5, 7, 8, 12, 16, 32}) {
    CAPTURE(stride);
    for (const int64_t padding : {int64_t{0}, stride / 2}) {
      EmulatedCase c;
      c.problem.batch = 2;
      c.problem.in_channels = 40;
      c.problem.out_channels = 17;
      c.problem.in_length = 303;
      c.problem.transposed = true;
      c.problem.stride = stride;
      c.problem.kernel_size = 2 * stride;
      c.problem.pad_left = c.problem.pad_right = padding;
      c.problem.out_length = 304 * stride - 2 * padding;
      c.problem.precision = Precision::kFp16;
      c.problem.dtype = DType::kF16;
      c.y_shift = padding;
      c.blocks = 3;
      Random random(seed++);
      const double error = Emulation<__half>(c, random).run([](Emulation<__half>& emulation) {
        const auto kernel = cuda::turn_kernel_sm90<__half, 1, cuda::TurnSource::kUnits, 128, 192>();
        return launch_turned(emulation, kernel, false);
      });
      CHECK(error >= 0.0);
      CHECK(error < 6e-4);
    }
  }
}

// Samples of fewer columns than a tile, which run across them.
template <typename T>
void check_joined_samples(Precision precision) {
  uint64_t seed = 850;
  for (const int64_t length : {8, 14, 33, 100, 180}) {
    for (const bool transposed : {false, true}) {
      EmulatedCase c;
      c.problem.batch = 7;
      c.problem.groups = 2;
      c.problem.in_channels = 80;
      c.problem.out_channels = 48;
      c.problem.in_length = length;
      c.problem.transposed = transposed;
      c.problem.stride = transposed ? 3 : 2;
      c.problem.kernel_size = 6;
      c.problem.pad_left = c.problem.pad_right = 2;
      c.problem.out_length = transposed ? length * 3 - 1 : (length - 2) / 2 + 1;
      c.problem.precision = precision;
      c.problem.dtype = storage_dtype(precision);
      c.y_shift = 3;
      c.blocks = 2;
      c.second_exponent = 12;
      INFO(to_string(c.problem));
      Random random(seed++);
      const double error = Emulation<T>(c, random).run([](Emulation<T>& emulation) {
        const auto kernel = cuda::turn_kernel_sm90<T, 1, cuda::TurnSource::kUnits, 128, 192>();
        return launch_turned(emulation, kernel, false, true);
      });
      CHECK(error >= 0.0);
      CHECK(error < 6e-4);
    }
  }
}

TEST_CASE("the Hopper GEMM of arranged units on many short samples") {
  check_joined_samples<float>(Precision::kTf32);
  check_joined_samples<__half>(Precision::kFp16);
}

// The stages of a tile shared by the blocks of a cluster, which are seven or four.
template <typename T, int kParts>
void check_split_tiles(Precision precision, double most_error) {
  for (const cuda::TurnKernel& kernel : cuda::turn_kernels_sm90<T, kParts>()) {
    if (kernel.tile.source != cuda::TurnSource::kUnits) continue;
    for (const int splits : {2, 3, 4}) {
      EmulatedCase c = three_taps(2, 200, 100);
      c.problem.precision = precision;
      c.problem.dtype = storage_dtype(precision);
      c.y_shift = splits;
      const bool join = kParts == 1 && splits == 3;
      INFO(kernel.tile.rows, " rows, ", kernel.tile.columns, " columns, ",
           kernel.tile.stage_channels, " channels, ", splits, " splits");
      Random random(1000 + static_cast<uint64_t>(splits));
      const double error = Emulation<T>(c, random).run([&](Emulation<T>& emulation) {
        return launch_turned(emulation, kernel, false, join, splits);
      });
      const bool has_room = kernel.tile.rows * kernel.tile.columns * (splits - 1) <= 16384;
      if (has_room) CHECK(error >= 0.0);
      CHECK(error < most_error);
    }
  }
}

TEST_CASE("the Hopper GEMM of arranged units on tiles that are split") {
  check_split_tiles<float, 1>(Precision::kTf32, 6e-4);
  check_split_tiles<float, 2>(Precision::kFp32, 2e-7);
  check_split_tiles<__half, 1>(Precision::kFp16, 6e-4);
}

// Few channels, and windows that lie partly or wholly before and behind the rows of x.
TEST_CASE("the Hopper GEMM that turns windows on taps that lie far apart, in f16") {
  uint64_t seed = 600;
  for (const int64_t dilation : {296, 300, 16381, 1 << 20}) {
    CAPTURE(dilation);
    EmulatedCase c;
    c.problem.batch = c.problem.groups = 2;
    c.problem.in_channels = 4;
    c.problem.out_channels = 6;
    c.problem.in_length = c.problem.out_length = 304;
    c.problem.kernel_size = 3;
    c.problem.dilation = c.problem.pad_left = c.problem.pad_right = dilation;
    c.problem.precision = Precision::kFp16;
    c.problem.dtype = DType::kF16;
    Random random(seed++);
    const double error = Emulation<__half>(c, random).run([](Emulation<__half>& emulation) {
      const auto kernel = cuda::turn_kernel_sm90<__half, 1, cuda::TurnSource::kRows, 64, 256>();
      return launch_turned(emulation, kernel, false);
    });
    CHECK(error >= 0.0);
    CHECK(error < 6e-4);
  }
}

}  // namespace engine::test
