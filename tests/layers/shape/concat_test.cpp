#include <doctest/doctest.h>
#include <fmt/format.h>

#include <vector>

#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

TEST_CASE("Concat of swept shapes") {
  uint64_t seed = 1;
  for (const int64_t length : {1, 3, 8, 17, 1024, 20001}) {
    check_layer({"Concat", "{}", {{{2, 3, length}}, {{2, 5, length}}}, seed++});
    check_layer({"Concat", "{dim: -1}", {{{2, 3, length}}, {{2, 3, 7}}}, seed++});
    check_layer({"Concat", "{dim: 0}", {{{2, 3, length}}, {{1, 3, length}}}, seed++});
  }
  check_layer({"Concat", "{}", {{{2, 3, 4}}}, seed++});
  check_layer({"Concat", "{}", {{{70000, 1}}, {{70000, 2}}}, seed++});
  check_layer({"Concat", "{dim: 0}", {{{1}}, {{2}}, {{3}}, {{1}}}, seed++});
}

TEST_CASE("Concat of integers") {
  for (const DType dtype : {DType::kI32, DType::kI64}) {
    check_layer({"Concat", "{}", {{{2, 3, 5}, dtype}, {{2, 4, 5}, dtype}}, 1, 1000});
  }
}

TEST_CASE("Concat of random shapes") {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    Shape shape(static_cast<size_t>(random.integer(1, 4)));
    for (int64_t& size : shape) size = random.integer(1, 20);
    const int64_t dim = random.integer(0, static_cast<int64_t>(shape.size()) - 1);
    std::vector<TensorSpec> inputs(static_cast<size_t>(random.integer(1, 6)), {shape});
    for (TensorSpec& input : inputs) input.shape[static_cast<size_t>(dim)] = random.integer(1, 20);
    check_layer({"Concat", fmt::format("{{dim: {}}}", dim), inputs, seed});
  }
}

TEST_CASE("Concat rejects what it cannot take") {
  check_layer_error(
      {"Concat", "{}", {{{2, 3, 4}}, {{2, 3, 5}}}},
      "input 1 is f32 [2, 3, 5], which does not join f32 [2, 3, 4] along dimension 1");
  check_layer_error({"Concat", "{}", {{{2, 3, 4}}, {{2, 3}}}}, "input 1 is f32 [2, 3]");
  check_layer_error({"Concat", "{}", {{{2, 3}}, {{2, 3}, DType::kI32}}}, "input 1 is i32 [2, 3]");
  check_layer_error({"Concat", "{dim: 2}", {{{2, 3}}, {{2, 3}}}}, "dimension 2 is out of range");
  check_layer_error({"Concat", "{}", {}}, "expected inputs, found none");
}

}  // namespace
}  // namespace engine::test
