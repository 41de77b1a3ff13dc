#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

TEST_CASE("Slice with Python's bounds") {
  uint64_t seed = 1;
  for (const char* bounds :
       {"start: 0", "start: 3", "end: 5", "start: -4", "end: -4", "start: -100, end: 100",
        "start: 2, end: -2", "step: 3", "start: 1, step: 4", "start: 9, step: 1000000000000"}) {
    for (const int64_t dim : {-1, 0, 1}) {
      check_layer({"Slice", fmt::format("{{dim: {}, {}}}", dim, bounds), {{{10, 11, 12}}}, seed++});
    }
  }
  check_layer({"Slice", "{}", {{{1, 1, 1}}}, seed++});
  check_layer({"Slice", "{start: 8, end: 40008}", {{{2, 3, 50000}}}, seed++});
  check_layer({"Slice", "{start: 1, step: 2}", {{{1, 2, 70001}}}, seed++});
  check_layer({"Slice", "{dim: 0, start: 1, step: 2}", {{{70001, 3}}}, seed++});
  check_layer({"Slice", "{start: 1}", {{{3, 7}, DType::kI32}}, seed++, 1000});
}

TEST_CASE("Slice of random problems") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    Shape shape(static_cast<size_t>(random.integer(1, 4)));
    for (int64_t& size : shape) size = random.integer(1, 20);
    const int64_t dim = random.integer(0, static_cast<int64_t>(shape.size()) - 1);
    const int64_t size = shape[static_cast<size_t>(dim)];
    const int64_t start = random.integer(0, size - 1);
    const int64_t end = random.integer(start + 1, size);
    check_layer({"Slice",
                 fmt::format("{{dim: {}, start: {}, end: {}, step: {}}}", dim,
                             random.chance(0.5) ? start : start - size, end, random.integer(1, 5)),
                 {{shape}},
                 seed});
  }
}

TEST_CASE("Slice rejects what it cannot take") {
  check_layer_error({"Slice", "{start: 5, end: 5}", {{{1, 2, 9}}}},
                    "the slice 5:5 of dimension -1 of f32 [1, 2, 9] is empty");
  check_layer_error({"Slice", "{start: 9}", {{{1, 2, 9}}}}, "the slice 9: of dimension -1");
  check_layer_error({"Slice", "{step: 0}", {{{1, 2, 9}}}}, "step");
  check_layer_error({"Slice", "{step: -1}", {{{1, 2, 9}}}}, "step");
  check_layer_error({"Slice", "{dim: 3}", {{{1, 2, 9}}}}, "dimension 3 is out of range");
}

}  // namespace
}  // namespace engine::test
