#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

TEST_CASE("Transpose of the last two dimensions") {
  uint64_t seed = 1;
  // Sides below, at and above the tile's 32, and too short for tiles.
  for (const int64_t channels : {1, 2, 7, 8, 31, 32, 33, 70}) {
    for (const int64_t length : {1, 5, 8, 32, 45, 64, 1001}) {
      check_layer({"Transpose", "{}", {{{2, channels, length}}}, seed++});
    }
  }
  check_layer({"Transpose", "{}", {{{1, 9, 70001}}}, seed++});
  check_layer({"Transpose", "{}", {{{70000, 2, 3}}}, seed++});
  check_layer({"Transpose", "{dim0: 0, dim1: 1}", {{{70000, 9}}}, seed++});
}

TEST_CASE("Transpose of any two dimensions") {
  uint64_t seed = 1;
  for (const int64_t dim0 : {0, 1, 2, 3, -1}) {
    for (const int64_t dim1 : {0, 1, 2, 3, -2}) {
      const auto attributes = fmt::format("{{dim0: {}, dim1: {}}}", dim0, dim1);
      check_layer({"Transpose", attributes, {{{3, 10, 5, 33}}}, seed++});
      check_layer({"Transpose", attributes, {{{9, 2, 34, 8}}}, seed++});
    }
  }
}

TEST_CASE("Transpose of integers") {
  for (const DType dtype : {DType::kI32, DType::kI64}) {
    check_layer({"Transpose", "{}", {{{2, 40, 50}, dtype}}, 1, 1000});
    check_layer({"Transpose", "{}", {{{2, 3, 5}, dtype}}, 1, 1000});
  }
}

TEST_CASE("Transpose of random shapes") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    Shape shape(static_cast<size_t>(random.integer(1, 5)));
    for (int64_t& size : shape) size = random.integer(1, shape.size() > 3 ? 9 : 50);
    const int64_t rank = static_cast<int64_t>(shape.size());
    check_layer({"Transpose",
                 fmt::format("{{dim0: {}, dim1: {}}}", random.integer(-rank, rank - 1),
                             random.integer(-rank, rank - 1)),
                 {{shape}},
                 seed});
  }
}

TEST_CASE("Transpose rejects what it cannot take") {
  check_layer_error({"Transpose", "{}", {{{2, 3}}}},
                    "dimension 2 is out of range for an input of 2 dimensions [2, 3]");
  check_layer_error({"Transpose", "{}", {{{2, 3, 4}}, {{2, 3, 4}}}}, "expected 1 input, found 2");
}

}  // namespace
}  // namespace engine::test
