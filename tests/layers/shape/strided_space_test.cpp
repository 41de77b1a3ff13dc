#include "layers/shape/strided_space.h"

#include <doctest/doctest.h>

#include "layers/shape/strided_copy.h"
#include "tests/support/expect_error.h"

namespace engine::test {
namespace {

TEST_CASE("a strided space has as few loops as its arrays allow") {
  SUBCASE("equal contiguous shapes are one loop") {
    const StridedSpace space = make_strided_space({2, 3, 4}, {{12, 4, 1}, {12, 4, 1}});
    CHECK(space.rank == 1);
    CHECK(space.inner_size() == 24);
    CHECK(space.inner_stride(1) == 1);
  }
  SUBCASE("a value per channel is two loops") {
    const StridedSpace space = make_strided_space({2, 3, 4}, {{12, 4, 1}, {3, 1, 0}});
    CHECK(space.rank == 2);
    CHECK(space.sizes[0] == 6);
    CHECK(space.strides[1][0] == 1);
    CHECK(space.inner_stride(1) == 0);
  }
  SUBCASE("sizes of one vanish") {
    const StridedSpace space = make_strided_space({1, 5, 1}, {{99, 2, 77}});
    CHECK(space.rank == 1);
    CHECK(space.inner_stride(0) == 2);
  }
  SUBCASE("a single element is one loop of one") {
    CHECK(make_strided_space({}, {{}}).elements() == 1);
    CHECK(make_strided_space({1, 1}, {{1, 1}}).rank == 1);
  }
  SUBCASE("more than six loops are refused") {
    const Shape sizes(7, 2);
    expect_error([&] { make_strided_space(sizes, {Shape(7, 1)}); }, ErrorKind::kUnsupported,
                 "[2, 2, 2, 2, 2, 2, 2] needs more than 6 nested loops; use fewer dimensions");
  }
}

TEST_CASE("runs of a strided space cover a range once") {
  const StridedSpace space = make_strided_space({2, 3}, {{10, 1}, {1, 2}});
  std::vector<int64_t> first, second;
  for_each_run(space, 1, 6, [&](const int64_t* offsets, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      first.push_back(offsets[0] + i * space.inner_stride(0));
      second.push_back(offsets[1] + i * space.inner_stride(1));
    }
  });
  CHECK(first == std::vector<int64_t>{1, 2, 10, 11, 12});
  CHECK(second == std::vector<int64_t>{2, 4, 1, 3, 5});
}

TEST_CASE("tiles are for long transposes only") {
  const auto transpose = [](int64_t rows, int64_t columns) {
    return make_strided_space({rows, columns}, {{columns, 1}, {1, rows}});
  };
  CHECK(tiled_source_loop(transpose(8, 8)) == 0);
  CHECK_FALSE(tiled_source_loop(transpose(7, 100)));
  CHECK_FALSE(tiled_source_loop(transpose(100, 7)));
  CHECK_FALSE(tiled_source_loop(make_strided_space({9, 9}, {{20, 1}, {9, 1}})));
}

}  // namespace
}  // namespace engine::test
