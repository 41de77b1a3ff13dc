#include "engine/shape.h"

#include <doctest/doctest.h>

#include "tests/support/expect_error.h"

namespace engine::test {
namespace {

TEST_CASE("element_count multiplies the sizes") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({7}) == 7);
  CHECK(element_count({2, 3, 5}) == 30);
  CHECK(element_count({70000, 70000}) == 4900000000);
  CHECK(element_count({5, 0, 3}) == 0);
}

TEST_CASE("element_count rejects negative sizes and products that overflow") {
  const auto count = [](Shape shape) { return [=] { element_count(shape); }; };
  expect_error(count({2, -1}), ErrorKind::kInvalidArgument, "shape [2, -1] has a negative size");
  expect_error(count({0, -1}), ErrorKind::kInvalidArgument, "shape [0, -1] has a negative size");
  expect_error(count({int64_t{1} << 32, int64_t{1} << 32}), ErrorKind::kInvalidArgument,
               "shape [4294967296, 4294967296] has too many elements");
  // 2^60 elements of eight bytes would not fit 63 bits; one less than that does.
  expect_error(count({int64_t{1} << 60}), ErrorKind::kInvalidArgument,
               "shape [1152921504606846976] has too many elements");
  CHECK(element_count({(int64_t{1} << 60) - 1}) == (int64_t{1} << 60) - 1);
  // Nothing is stored, however large the other sizes are.
  CHECK(element_count({int64_t{1} << 40, int64_t{1} << 40, 0}) == 0);
}

TEST_CASE("shapes are printed like lists") {
  CHECK(to_string(Shape{}) == "[]");
  CHECK(to_string(Shape{1, 64, 16000}) == "[1, 64, 16000]");
}

}  // namespace
}  // namespace engine::test
