#include <doctest/doctest.h>

#include <vector>

#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

void check_add_and_mul(const std::vector<TensorSpec>& inputs, uint64_t seed) {
  check_layer({"Add", "{}", inputs, seed});
  check_layer({"Mul", "{}", inputs, seed});
}

TEST_CASE("Add and Mul of equal shapes") {
  uint64_t seed = 1;
  // Around one and two groups of 4 or 8 neighbours, and more than one thread's share.
  for (const int64_t length : {1, 3, 4, 7, 8, 9, 17, 255, 4099, 70001}) {
    check_add_and_mul({{{1, 1, length}}, {{1, 1, length}}}, seed++);
  }
  check_add_and_mul({{{2, 3, 40}}, {{2, 3, 40}}}, seed++);
}

TEST_CASE("Add and Mul broadcast as numpy does") {
  const std::vector<std::vector<TensorSpec>> problems = {
      {{{2, 3, 16}}, {{1, 3, 1}}},
      {{{2, 3, 16}}, {{2, 3, 1}}},
      {{{2, 3, 17}}, {{3, 1}}},
      {{{3, 1}}, {{2, 3, 17}}},
      {{{2, 3, 16}}, {{16}}},
      {{{2, 3, 16}}, {{1}}},
      {{{2, 3, 16}}, {{2, 1, 16}}},
      {{{2, 1, 8}}, {{1, 3, 1}}},
      {{{1, 1, 1}}, {{1, 1, 1}}},
      {{{5, 1}}, {{1, 7}}},
      {{{70000, 1, 3}}, {{1, 2, 1}}},
      {{{2, 1, 3, 1, 2, 1}}, {{2, 1, 2, 1, 2}}},
      {{{4, 24}}, {{}}},
  };
  uint64_t seed = 1;
  for (const auto& inputs : problems) check_add_and_mul(inputs, seed++);
}

TEST_CASE("Add and Mul of many inputs") {
  check_add_and_mul({{{2, 3, 16}}, {{3, 1}}, {{1, 1, 16}}}, 1);
  check_add_and_mul({{{3, 1}}, {{2, 3, 15}}, {{15}}, {{2, 1, 1}}}, 2);
  check_add_and_mul(std::vector<TensorSpec>(8, {{2, 5, 33}}), 3);
}

TEST_CASE("Add and Mul of random shapes") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    Shape full(static_cast<size_t>(random.integer(1, 4)));
    for (int64_t& size : full) size = random.integer(1, 12);
    std::vector<TensorSpec> inputs(static_cast<size_t>(random.integer(2, 4)));
    for (TensorSpec& input : inputs) {
      const int64_t missing = random.integer(0, static_cast<int64_t>(full.size()) - 1);
      input.shape.assign(full.begin() + missing, full.end());
      for (int64_t& size : input.shape) {
        if (random.chance(0.3)) size = 1;
      }
    }
    check_add_and_mul(inputs, seed);
  }
}

TEST_CASE("Add and Mul reject what they cannot take") {
  check_layer_error({"Add", "{}", {{{2, 3}}}}, "expected 2 to 8 inputs, found 1");
  check_layer_error({"Mul", "{}", std::vector<TensorSpec>(9, {{2}})},
                    "expected 2 to 8 inputs, found 9");
  check_layer_error({"Add", "{}", {{{2, 3, 4}}, {{2, 4}}}},
                    "inputs [2, 3, 4] and [2, 4] do not broadcast");
  check_layer_error({"Add", "{}", {{{2}, DType::kI32}, {{2}, DType::kI32}}},
                    "expected an input of floating-point values, found i32 [2]");
  check_layer_error({"Mul", "{}", {{{2}}, {{2}, DType::kI64}}},
                    "expected inputs of one dtype, found f32 and i64");
  check_layer_error({"Add", "{}", {{{2, 1, 2, 1, 2, 1, 2}}, {{1, 2, 1, 2, 1, 2, 1}}}},
                    "more than 6 nested loops");
}

TEST_CASE("GLU of swept shapes") {
  uint64_t seed = 1;
  for (const int64_t length : {1, 2, 7, 8, 16, 1000}) {
    check_layer({"GLU", "{dim: 1}", {{{2, 6, length}}}, seed++});
    check_layer({"GLU", "{}", {{{2, 3, 2 * length}}}, seed++});
  }
  check_layer({"GLU", "{dim: 0}", {{{2}}}, seed++});
  check_layer({"GLU", "{dim: -2}", {{{1, 2, 70001}}}, seed++});
  check_layer({"GLU", "{}", {{{70000, 2}}}, seed++});
}

TEST_CASE("GLU of extreme gates") {
  for (const float gate : {100.0f, -80.0f, 20.0f, -20.0f, 0.0f}) {
    check_layer({"GLU", "{}", {{{1, 2}}}, 1, 1, {1.5f, gate}});
  }
}

TEST_CASE("GLU rejects what it cannot take") {
  check_layer_error({"GLU", "{}", {{{2, 3, 5}}}}, "expected an even size of dimension -1");
  check_layer_error({"GLU", "{dim: 3}", {{{2, 3, 6}}}},
                    "dimension 3 is out of range for an input of 3 dimensions [2, 3, 6]; expected "
                    "-3 to 2");
  check_layer_error({"GLU", "{}", {{{2, 4}, DType::kI32}}},
                    "expected an input of floating-point values");
}

}  // namespace
}  // namespace engine::test
