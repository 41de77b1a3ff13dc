#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

TEST_CASE("Split of swept shapes") {
  uint64_t seed = 1;
  for (const int64_t length : {1, 3, 8, 17, 1024, 20001}) {
    check_layer({"Split", "{parts: 2}", {{{2, 6, length}}}, seed++});
    check_layer({"Split", "{sizes: [1, 3, 2]}", {{{2, 6, length}}}, seed++});
    check_layer({"Split", "{dim: -1, parts: 3}", {{{2, 3, 3 * length}}}, seed++});
  }
  check_layer({"Split", "{sizes: 6}", {{{2, 6, 5}}}, seed++});
  check_layer({"Split", "{dim: 0, sizes: [1, 69999]}", {{{70000, 3}}}, seed++});
  check_layer({"Split", "{sizes: [2, 3]}", {{{4, 5, 6}, DType::kI64}}, seed++, 1000});
}

TEST_CASE("Split of random shapes") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    Shape shape(static_cast<size_t>(random.integer(1, 4)));
    for (int64_t& size : shape) size = random.integer(1, 20);
    const int64_t dim = random.integer(0, static_cast<int64_t>(shape.size()) - 1);
    std::vector<int64_t> sizes(static_cast<size_t>(random.integer(1, 5)));
    int64_t sum = 0;
    for (int64_t& size : sizes) sum += size = random.integer(1, 9);
    shape[static_cast<size_t>(dim)] = sum;
    check_layer({"Split",
                 fmt::format("{{dim: {}, sizes: [{}]}}", dim, fmt::join(sizes, ", ")),
                 {{shape}},
                 seed});
  }
}

TEST_CASE("Split rejects what it cannot take") {
  check_layer_error({"Split", "{sizes: [2, 3]}", {{{1, 6, 4}}}},
                    "sizes [2, 3] do not sum to 6, the size of dimension 1");
  check_layer_error({"Split", "{sizes: [9223372036854775807, 2]}", {{{1, 6, 4}}}},
                    "do not sum to 6");
  check_layer_error({"Split", "{parts: 4}", {{{1, 6, 4}}}},
                    "dimension 1 of size 6 does not divide into 4 equal parts");
  check_layer_error({"Split", "{}", {{{1, 6, 4}}}}, "expected either `sizes`, a list, or `parts`");
  check_layer_error({"Split", "{sizes: [3, 3], parts: 2}", {{{1, 6, 4}}}},
                    "expected either `sizes`, a list, or `parts`");
  check_layer_error({"Split", "{sizes: [6, 0]}", {{{1, 6, 4}}}}, "expected sizes >= 1, found 0");
  check_layer_error({"Split", "{dim: -4, parts: 1}", {{{1, 6, 4}}}},
                    "dimension -4 is out of range");
}

}  // namespace
}  // namespace engine::test
