// The harness itself: tolerances neither vacuous nor too tight, and every kind of fault reported.
#include "tests/support/expectation.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/guarded_buffer.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor random_tensor(Shape shape, DType storage, Random& random) {
  Tensor tensor = Tensor::empty(std::move(shape));
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.data<float>()[i] = static_cast<float>(random.normal());
  }
  return tensor.to(storage);
}

// Dot products of `features` random elements.
Problem dot_products(int64_t features, Precision precision) {
  Random random(5);
  const DType storage = storage_dtype(precision);
  Problem problem{"Linear", Attributes::parse("{bias: false}"), {}, {}};
  problem.parameters["weight"] = random_tensor({64, features}, storage, random).to(DType::kF32);
  problem.inputs.push_back(random_tensor({16, features}, storage, random));
  return problem;
}

// The largest error allowed, relative to a typical result, which is about sqrt(features).
double relative_tolerance(int64_t features, Precision precision) {
  return expect(dot_products(features, precision), precision)[0].allowed /
         std::sqrt(static_cast<double>(features));
}

Tensor tensor_of(const std::vector<float>& values) {
  Tensor tensor = Tensor::empty({static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.data<float>());
  return tensor;
}

std::string difference_of(float actual, double exact, double allowed,
                          Precision precision = Precision::kFp32) {
  return difference(tensor_of({actual}).to(storage_dtype(precision)), {{{1}, {exact}}, allowed},
                    precision);
}

TEST_CASE("tolerances are as large as the rounding of each precision, and no larger") {
  for (const int64_t features : {1, 10, 1000}) {
    CAPTURE(features);
    const double fp32 = relative_tolerance(features, Precision::kFp32);
    CHECK(fp32 > 0x1p-24);
    CHECK(fp32 < 0x1p-24 * 200);
    for (Precision precision : {Precision::kTf32, Precision::kFp16}) {
      CHECK(relative_tolerance(features, precision) > 0x1p-11);
      CHECK(relative_tolerance(features, precision) < 0x1p-11 * 20);
    }
    CHECK(relative_tolerance(features, Precision::kBf16) > 0x1p-8);
    CHECK(relative_tolerance(features, Precision::kBf16) < 0x1p-8 * 20);
  }
}

TEST_CASE("a plain accumulation passes, and twice its worst error just does") {
  Problem problem = dot_products(1000, Precision::kFp32);
  const Expectation expected = expect(problem, Precision::kFp32)[0];
  Tensor actual = Tensor::empty(expected.exact.shape);
  for (int64_t i = 0; i < actual.elements(); ++i) {
    actual.data<float>()[i] = static_cast<float>(expected.exact.data[static_cast<size_t>(i)]);
  }
  CHECK(difference(actual, expected, Precision::kFp32) == "");
  actual.data<float>()[69] += static_cast<float>(1.1 * expected.allowed);
  const std::string wrong = difference(actual, expected, Precision::kFp32);
  CHECK_MESSAGE(wrong.find("1 of 1024 elements differ; the first, [1, 5]: found") == 0, wrong);
}

TEST_CASE("NaN and infinities are expected exactly where they belong") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(difference_of(nan, NAN, 1.0) == "");
  CHECK(difference_of(nan, 0.0, 1.0) != "");
  CHECK(difference_of(0.0f, NAN, 1.0) != "");
  CHECK(difference_of(infinity, kInfinity, 1.0) == "");
  CHECK(difference_of(-infinity, kInfinity, 1.0) != "");
  CHECK(difference_of(3e38f, kInfinity, 1.0) != "");
  CHECK(difference_of(infinity, 3e38, 1.0) != "");
  CHECK(difference_of(infinity, 1e39, 1.0) == "");
  CHECK(difference_of(infinity, 65519.0, 1.0, Precision::kFp16) == "");
  CHECK(difference_of(infinity, 65000.0, 1.0, Precision::kFp16) != "");
}

TEST_CASE("shapes, dtypes and missing elements are reported") {
  const Expectation expected{{{2}, {1.0, NAN}}, 0.0};
  CHECK(difference(Tensor::zeros({3}), expected, Precision::kFp32) ==
        "found f32 [3], expected f32 [2]");
  CHECK(difference(Tensor::zeros({2}), expected, Precision::kFp16) ==
        "found f32 [2], expected f16 [2]");
  Tensor untouched = tensor_of({1.0f, 0.0f});
  std::memset(untouched.data<float>() + 1, 0xFF, sizeof(float));
  CHECK(difference(untouched, expected, Precision::kFp32) == "1 of 2 elements were not written");
}

TEST_CASE("integers must be equal") {
  Tensor tensor = Tensor::zeros({1}, DType::kI64);
  CHECK(difference(tensor, {{{1}, {0.0}}, 2.0}, Precision::kFp32) == "");
  CHECK(difference(tensor, {{{1}, {1.0}}, 2.0}, Precision::kFp32) != "");
}

TEST_CASE("guard bands notice a single byte on either side") {
  for (const int64_t bytes : {0, 1, 13, 4096}) {
    CAPTURE(bytes);
    GuardedBuffer buffer(Device::cpu(), bytes);
    auto* data = static_cast<unsigned char*>(buffer.data());
    CHECK(reinterpret_cast<uintptr_t>(data) % 256 == 0);
    std::memset(data, 0, static_cast<size_t>(bytes));
    CHECK(buffer.bands_intact());
    data[-1] = 0;
    CHECK_FALSE(buffer.bands_intact());
    data[-1] = 0xFF;
    data[bytes] = 0;
    CHECK_FALSE(buffer.bands_intact());
  }
}

}  // namespace
}  // namespace engine::test
