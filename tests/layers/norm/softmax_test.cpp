#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "engine/layer.h"
#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void check_both(const std::string& attributes, const Shape& shape, uint64_t seed,
                const std::vector<float>& values = {}) {
  check_layer({"Softmax", attributes, {{shape}}, seed, 1, values});
  check_layer({"LogSoftmax", attributes, {{shape}}, seed, 1, values});
}

TEST_CASE("softmax of rows of swept lengths") {
  uint64_t seed = 1;
  for (const int64_t length : {1,    2,    10,   31,   32,   33,   63,    64,    65,    256,  257,
                               1000, 1024, 1025, 2049, 4099, 8192, 16384, 16385, 16411, 50001}) {
    check_both("{}", {3, length}, seed++);
  }
}

TEST_CASE("softmax of columns of swept sizes") {
  uint64_t seed = 1;
  for (const int64_t inner : {2, 3, 31, 32, 33, 64, 257, 1000}) {
    for (const int64_t size : {1, 2, 7, 33, 200}) {
      check_both("{dim: 1}", {2, size, inner}, seed++);
    }
  }
}

TEST_CASE("softmax of columns that several blocks share") {
  check_both("{dim: 1}", {2, 40000, 2}, 1);
  check_both("{dim: 0}", {2500, 33}, 2);
}

TEST_CASE("softmax along every dimension") {
  for (int dim = -4; dim < 4; ++dim) {
    check_both(fmt::format("{{dim: {}}}", dim), {3, 4, 5, 6}, static_cast<uint64_t>(dim + 5));
  }
}

TEST_CASE("softmax of more rows and columns than a grid's y dimension has blocks") {
  check_both("{}", {70001, 4}, 1);
  check_both("{dim: 1}", {70001, 2, 3}, 2);
  check_both("{dim: 0}", {2, 70001}, 3);
}

TEST_CASE("softmax of large values does not overflow") {
  check_both("{}", {1, 4}, 1, {1e4f, 1e4f - 1.0f, -1e4f, 0.0f});
  check_both("{dim: 0}", {4, 2}, 1, {1e4f, 1e4f, -1e4f, 0.0f});
}

TEST_CASE("softmax of NaN and infinities") {
  for (const int64_t length : {4, 40, 600, 5000, 40000}) {
    // Rows with one -inf, with nothing but -inf, with +inf, with NaN, and one that is sound.
    std::vector<float> values(static_cast<size_t>(5 * length));
    Random random(1);
    for (float& value : values) value = static_cast<float>(random.normal());
    const auto at = [&](int64_t row, int64_t i) -> float& {
      return values[static_cast<size_t>(row * length + i)];
    };
    at(0, length / 2) = -kInfinity;
    for (int64_t i = 0; i < length; ++i) at(1, i) = -kInfinity;
    at(2, length / 3) = kInfinity;
    at(3, length - 1) = std::nanf("");
    check_both("{}", {5, length}, 1, values);
    check_both("{dim: 0}", {5, length}, 1, values);
    check_both("{dim: 0}", {length, 5}, 1, values);
  }
}

TEST_CASE("softmax over channels sees one position, over the length all of them") {
  const auto reach = [](const std::string& attributes) {
    return LayerRegistry::global().create("Softmax", Attributes::parse(attributes))->reach();
  };
  CHECK(reach("{dim: 1}")->extent == 1);
  CHECK(reach("{dim: -2}")->extent == 1);
  CHECK(!reach("{}"));
  CHECK(!reach("{dim: 2}"));
}

TEST_CASE("softmax rejects what it cannot take") {
  check_layer_error({"Softmax", "{dim: 3}", {{{2, 4, 5}}}},
                    "expected a dim from -3 to 2 for an input of 3 dimensions [2, 4, 5], found 3");
  check_layer_error({"LogSoftmax", "{dim: -3}", {{{2, 4}}}}, "expected a dim from -2 to 1");
  check_layer_error({"Softmax", "{}", {{{2, 4}, DType::kI64}}},
                    "expected an input of floating-point values");
}

}  // namespace
}  // namespace engine::test
