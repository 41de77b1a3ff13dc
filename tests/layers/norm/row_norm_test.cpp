// LayerNorm, GroupNorm and InstanceNorm1d.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "engine/layer.h"
#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

// Lengths at the borders between the kernels (8, 64, 256, 512 and 2048 packs of 4 or 8 elements)
// and of the chunks (16384), each with rows that are aligned to packs and rows that are not.
const std::vector<int64_t> kLengths = {1,    2,    3,    8,     31,    32,    33,    63,
                                       64,   65,   255,  256,   257,   511,   512,   513,
                                       1023, 1024, 1025, 2047,  2048,  2049,  4095,  4096,
                                       4097, 8192, 8193, 16384, 16385, 16391, 32769, 50001};

// Values with a deviation of 1 around `mean`.
std::vector<float> around(float mean, int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = mean + static_cast<float>(random.normal());
  return values;
}

TEST_CASE("LayerNorm of swept lengths") {
  uint64_t seed = 1;
  for (const int64_t length : kLengths) {
    check_layer(
        {"LayerNorm", fmt::format("{{normalized_shape: {}}}", length), {{{3, length}}}, seed++});
  }
}

TEST_CASE("LayerNorm with and without weights, over one and several dimensions") {
  const Shape shape = {2, 3, 5, 7};
  for (const char* over : {"7", "[7]", "[5, 7]", "[3, 5, 7]", "[2, 3, 5, 7]"}) {
    for (const char* rest : {"", ", elementwise_affine: false", ", bias: false", ", eps: 0.5"}) {
      check_layer({"LayerNorm", fmt::format("{{normalized_shape: {}{}}}", over, rest), {{shape}}});
    }
  }
}

TEST_CASE("GroupNorm of swept lengths") {
  uint64_t seed = 1;
  for (const int64_t length : kLengths) {
    check_layer({"GroupNorm", "{num_groups: 2}", {{{2, 6, length}}}, seed++});
    check_layer({"InstanceNorm1d", "{affine: true}", {{{2, 3, length}}}, seed++});
  }
}

TEST_CASE("GroupNorm and InstanceNorm1d of random shapes") {
  Random random(3);
  for (uint64_t seed = 200; seed < 240; ++seed) {
    const int64_t groups = random.integer(1, 6);
    const int64_t channels = groups * random.integer(1, 8);
    Shape shape = {random.integer(1, 4), channels};
    if (random.chance(0.9)) shape.push_back(random.integer(1, 700));
    if (random.chance(0.2)) shape.push_back(random.integer(1, 5));
    const char* affine = random.chance(0.5) ? "true" : "false";
    check_layer(
        {"GroupNorm",
         fmt::format("{{num_groups: {}, num_channels: {}, affine: {}}}", groups, channels, affine),
         {{shape}},
         seed});
    if (shape.size() != 3) continue;
    check_layer({"InstanceNorm1d",
                 fmt::format("{{num_features: {}, affine: {}, momentum: 0.2}}", channels, affine),
                 {{shape}},
                 seed});
  }
}

TEST_CASE("normalisation of more rows than a grid's y dimension has blocks") {
  check_layer({"LayerNorm", "{normalized_shape: 3}", {{{70001, 3}}}});
  check_layer({"InstanceNorm1d", "{}", {{{2, 35000, 5}}}});
}

TEST_CASE("GroupNorm of one long signal") {
  check_layer({"GroupNorm", "{num_groups: 1}", {{{1, 5, 200003}}}});
}

TEST_CASE("normalisation of values far from zero") {
  uint64_t seed = 1;
  for (const int64_t length : {4, 13, 100, 512, 5000, 40000, 300000}) {
    const std::vector<float> values = around(1000.0f, 2 * length, seed++);
    check_layer({"InstanceNorm1d", "{}", {{{1, 2, length}}}, 1, 1, values});
    check_layer({"LayerNorm",
                 fmt::format("{{normalized_shape: {}}}", length),
                 {{{2, length}}},
                 1,
                 1,
                 values});
  }
}

TEST_CASE("normalisation of a signal that jumps") {
  // The first half lies around 0, the second around 1000: no one shift suits both.
  std::vector<float> values = around(0.0f, 30000, 1);
  const std::vector<float> high = around(1000.0f, 30000, 2);
  values.insert(values.end(), high.begin(), high.end());
  check_layer({"GroupNorm", "{num_groups: 1}", {{{1, 1, 60000}}}, 1, 1, values});
}

TEST_CASE("normalisation of a constant row gives the bias") {
  for (const int64_t length : {1, 5, 300, 3000, 40000}) {
    check_layer({"GroupNorm", "{num_groups: 1}", {{{2, 1, length}}}, 1, 1, {3.0f}});
  }
}

TEST_CASE("a NaN or an infinity spoils its row and no other") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::nanf(""), kInfinity, -kInfinity}) {
    for (const int64_t length : {3, 40, 600, 5000, 40000}) {
      std::vector<float> values = around(0.0f, 3 * length, 1);
      values[static_cast<size_t>(length + length / 2)] = bad;
      check_layer({"InstanceNorm1d", "{}", {{{1, 3, length}}}, 1, 1, values});
    }
  }
}

TEST_CASE("normalisations reject what they cannot take") {
  check_layer_error({"LayerNorm", "{normalized_shape: [4, 5]}", {{{2, 5, 4}}}},
                    "expected an input that ends in the normalized_shape [4, 5], found [2, 5, 4]");
  check_layer_error({"LayerNorm", "{normalized_shape: [4, 5]}", {{{5}}}},
                    "ends in the normalized_shape");
  check_layer_error({"LayerNorm", "{normalized_shape: [4, 0]}", {{{4, 0}}}},
                    "expected sizes of at least 1");
  check_layer_error({"LayerNorm", "{}", {{{4}}}}, "normalized_shape");
  check_layer_error(
      {"GroupNorm", "{num_groups: 3}", {{{2, 4, 5}}}},
      "expected a number of channels that num_groups 3 divides, found 4 in [2, 4, 5]");
  check_layer_error({"GroupNorm", "{num_groups: 3, num_channels: 4}", {{{2, 4, 5}}}},
                    "expected a multiple of num_groups 3, found 4");
  check_layer_error({"GroupNorm", "{num_groups: 2, num_channels: 6}", {{{2, 4, 5}}}},
                    "expected 6 channels (num_channels), found 4 in [2, 4, 5]");
  check_layer_error({"GroupNorm", "{num_groups: 1}", {{{4}}}}, "at least 2 dimensions");
  check_layer_error({"InstanceNorm1d", "{}", {{{2, 4}}}},
                    "expected an input of 3 dimensions (NCL), found [2, 4]");
  check_layer_error({"InstanceNorm1d", "{num_features: 3}", {{{2, 4, 5}}}},
                    "expected 3 channels (num_features), found 4 in [2, 4, 5]");
  check_layer_error({"GroupNorm", "{num_groups: 1}", {{{2, 4, 5}, DType::kI32}}},
                    "expected an input of floating-point values");
}

TEST_CASE("normalisations over the length see the whole signal") {
  for (const auto& [type, attributes] :
       std::vector<std::pair<std::string, std::string>>{{"LayerNorm", "{normalized_shape: 4}"},
                                                        {"GroupNorm", "{num_groups: 1}"},
                                                        {"InstanceNorm1d", "{}"}}) {
    CAPTURE(type);
    CHECK(!LayerRegistry::global().create(type, Attributes::parse(attributes))->reach());
  }
}

}  // namespace
}  // namespace engine::test
