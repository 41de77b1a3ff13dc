#include "engine/tensor.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "engine/cuda/runtime.h"
#include "tests/support/expect_error.h"

namespace engine::test {
namespace {

Tensor counting(Shape shape) {
  Tensor tensor = Tensor::empty(std::move(shape));
  std::iota(tensor.data<float>(), tensor.data<float>() + tensor.elements(), 0.0f);
  return tensor;
}

TEST_CASE("a default tensor is an empty handle") {
  const Tensor tensor;
  CHECK_FALSE(tensor.defined());
  CHECK(tensor.elements() == 0);
  CHECK(tensor.shape() == Shape{0});
}

TEST_CASE("zeros is zero, empty is aligned, and a scalar holds one element") {
  const Tensor zeros = Tensor::zeros({3, 5}, DType::kI64);
  for (int64_t i = 0; i < 15; ++i) CHECK(zeros.data<int64_t>()[i] == 0);
  CHECK(zeros.bytes() == 120);
  CHECK(reinterpret_cast<uintptr_t>(Tensor::empty({3}).raw()) % 64 == 0);
  CHECK(Tensor::empty({}).elements() == 1);
  CHECK(Tensor::empty({4, 0}).defined());
}

TEST_CASE("copies of a handle share storage, clones do not") {
  Tensor tensor = counting({4});
  Tensor shared = tensor;
  Tensor cloned = tensor.clone();
  tensor.data<float>()[2] = 9.0f;
  CHECK(shared.data<float>()[2] == 9.0f);
  CHECK(cloned.data<float>()[2] == 2.0f);
}

TEST_CASE("wrap borrows memory without a copy") {
  std::vector<float> values = {1, 2, 3, 4, 5, 6};
  Tensor tensor = Tensor::wrap(values.data(), {2, 3});
  CHECK(tensor.raw() == values.data());
  tensor.data<float>()[5] = 7.0f;
  CHECK(values[5] == 7.0f);
  CHECK(to_string(tensor.spec()) == "f32 [2, 3]");

  std::vector<int64_t> integers = {1, 2};
  CHECK(Tensor::wrap(integers.data(), {2}).dtype() == DType::kI64);
  expect_error([] { Tensor::wrap(nullptr, {2}, DType::kF32); }, ErrorKind::kInvalidArgument,
               "a tensor f32 [2] needs memory, found a null pointer");
  CHECK_NOTHROW(Tensor::wrap(nullptr, {0}, DType::kF32));
}

TEST_CASE("share keeps the owner alive until the last handle goes") {
  auto owner = std::make_shared<std::vector<float>>(8, 1.5f);
  const std::weak_ptr<std::vector<float>> watched = owner;
  Tensor tensor = Tensor::share(owner, owner->data(), {8}, DType::kF32);
  owner.reset();
  Tensor view = tensor.reshape({2, 4});
  tensor = Tensor();
  CHECK(view.data<float>()[7] == 1.5f);
  view = Tensor();
  CHECK(watched.expired());
}

TEST_CASE("data<T>() checks the dtype") {
  Tensor tensor = counting({2, 3});
  expect_error([&] { tensor.data<Half>(); }, ErrorKind::kInvalidArgument,
               "data() as f16 of a tensor f32 [2, 3]; convert it with to(DType)");
  const Tensor& constant = tensor;
  expect_error([&] { constant.data<int32_t>(); }, ErrorKind::kInvalidArgument,
               "data() as i32 of a tensor f32 [2, 3]; convert it with to(DType)");
}

TEST_CASE("size takes negative dimensions") {
  const Tensor tensor = Tensor::empty({2, 3, 5});
  CHECK(tensor.size(0) == 2);
  CHECK(tensor.size(-1) == 5);
  expect_error([&] { tensor.size(3); }, ErrorKind::kInvalidArgument,
               "dimension 3 of a tensor f32 [2, 3, 5]");
  expect_error([&] { tensor.size(-4); }, ErrorKind::kInvalidArgument,
               "dimension -4 of a tensor f32 [2, 3, 5]");
}

TEST_CASE("reshape is a view of as many elements") {
  Tensor tensor = counting({2, 6});
  Tensor view = tensor.reshape({3, 4});
  CHECK(view.raw() == tensor.raw());
  expect_error([&] { tensor.reshape({5}); }, ErrorKind::kInvalidArgument,
               "a tensor f32 [2, 6] does not reshape to [5]");
}

TEST_CASE("to(DType) converts between floats and between integers") {
  Tensor tensor = Tensor::empty({3});
  tensor.data<float>()[0] = 1.0f / 3.0f;
  tensor.data<float>()[1] = -70000.0f;
  tensor.data<float>()[2] = NAN;
  CHECK(tensor.to(DType::kF32).raw() == tensor.raw());
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    const Tensor back = tensor.to(dtype).to(DType::kF32);
    CHECK(back.data<float>()[0] == doctest::Approx(1.0 / 3.0).epsilon(0.005));
    CHECK(std::isnan(back.data<float>()[2]));
  }
  CHECK(static_cast<float>(tensor.to(DType::kF16).data<Half>()[1]) == -INFINITY);
  const Tensor direct = tensor.to(DType::kF16).to(DType::kBF16);
  CHECK(direct.dtype() == DType::kBF16);

  Tensor integers = Tensor::zeros({2}, DType::kI64);
  integers.data<int64_t>()[1] = -5;
  CHECK(integers.to(DType::kI32).data<int32_t>()[1] == -5);
  CHECK(integers.to(DType::kI32).to(DType::kI64).data<int64_t>()[1] == -5);
  integers.data<int64_t>()[0] = int64_t{1} << 31;
  expect_error([&] { integers.to(DType::kI32); }, ErrorKind::kInvalidArgument,
               "the integer 2147483648 does not fit i32");
  expect_error([&] { integers.to(DType::kF32); }, ErrorKind::kUnsupported,
               "a tensor i64 [2] does not convert to f32");
}

TEST_CASE("impossible tensors are refused") {
  expect_error(
      [] {
        Tensor::empty({2, -3});
      },
      ErrorKind::kInvalidArgument, "shape [2, -3] has a negative size");
  expect_error(
      [] {
        Tensor::empty({int64_t{1} << 40, int64_t{1} << 40});
      },
      ErrorKind::kInvalidArgument, "shape [1099511627776, 1099511627776] has too many elements");
  // 2^62 bytes: a legal shape that no machine has the memory for.
  expect_error([] { Tensor::empty({int64_t{1} << 59}, DType::kI64); }, ErrorKind::kOutOfMemory,
               "out of memory: 4611686018427.4 MB wanted");
}

TEST_CASE("pinned storage is host storage") {
  Tensor tensor = Tensor::pinned({5});
  CHECK_FALSE(tensor.device().is_cuda());
  tensor.data<float>()[4] = 1.0f;
  CHECK(tensor.data<float>()[4] == 1.0f);
}

}  // namespace
}  // namespace engine::test
