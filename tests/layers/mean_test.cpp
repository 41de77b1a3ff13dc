#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "layers/mean/mean_stages.h"
#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

TEST_CASE("Mean of swept shapes and dimensions") {
  uint64_t seed = 1;
  for (const char* attributes :
       {"{}", "{dim: 1}", "{dim: 0}", "{dim: [1, 2]}", "{dim: [0, 2]}", "{dim: [0, 1, 2]}",
        "{dim: [2, 0], keepdim: true}", "{dim: -2, keepdim: true}"}) {
    for (const Shape& shape : {Shape{1, 1, 1}, Shape{2, 3, 5}, Shape{3, 40, 8}, Shape{2, 1, 1000},
                               Shape{1, 600, 3}, Shape{300, 2, 33}}) {
      check_layer({"Mean", attributes, {{shape}}, seed++});
    }
  }
}

TEST_CASE("Mean of long sums, which take several stages") {
  uint64_t seed = 1;
  check_layer({"Mean", "{}", {{{1, 1, kMeanRowChunk}}}, seed++});
  check_layer({"Mean", "{}", {{{1, 2, kMeanRowChunk + 1}}}, seed++});
  check_layer({"Mean", "{}", {{{1, 1, 100003}}}, seed++});
  check_layer({"Mean", "{dim: 1}", {{{1, kMeanColumnChunk * kMeanColumnChunk + 1, 3}}}, seed++});
  check_layer({"Mean", "{dim: [0, 2]}", {{{300, 2, 40}}}, seed++});
  check_layer({"Mean", "{dim: 1}", {{{2, 257, 5000}}}, seed++});
  check_layer({"Mean", "{}", {{{70000, 1, 3}}}, seed++});
  check_layer({"Mean", "{dim: 0}", {{{70000, 3}}}, seed++});
}

TEST_CASE("Mean of random problems") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    Shape shape(static_cast<size_t>(random.integer(1, 5)));
    for (int64_t& size : shape) size = random.integer(1, 12);
    std::vector<size_t> dims;
    for (size_t d = 0; d < shape.size(); ++d) {
      if (random.chance(0.5)) dims.push_back(d);
    }
    if (dims.empty()) dims.push_back(0);
    check_layer(
        {"Mean",
         fmt::format("{{dim: [{}], keepdim: {}}}", fmt::join(dims, ", "), random.chance(0.5)),
         {{shape}},
         seed});
  }
}

TEST_CASE("stages of a mean take the innermost dimensions first") {
  const auto stages = make_mean_stages({4, 3, 20000}, {true, false, true});
  REQUIRE(stages.size() == 3);
  CHECK(stages[0].outer == 12);
  CHECK(stages[0].chunks() == 2);
  CHECK(stages[1].size == 2);
  CHECK(stages[1].divisor == 1.0f);
  CHECK(stages[2].outer == 1);
  CHECK(stages[2].size == 4);
  CHECK(stages[2].inner == 3);
  CHECK(stages[2].divisor == 80000.0f);
}

TEST_CASE("Mean rejects what it cannot take") {
  check_layer_error({"Mean", "{dim: 3}", {{{2, 3, 4}}}}, "dimension 3 is out of range");
  check_layer_error({"Mean", "{dim: [1, -2]}", {{{2, 3, 4}}}}, "dimension 1 appears twice");
  check_layer_error({"Mean", "{dim: []}", {{{2, 3, 4}}}}, "expected at least one dimension");
  check_layer_error({"Mean", "{}", {{{2, 3}, DType::kI64}}},
                    "expected a floating-point input, found i64 [2, 3]");
}

}  // namespace
}  // namespace engine::test
