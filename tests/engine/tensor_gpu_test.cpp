#include <doctest/doctest.h>

#include "engine/cuda/runtime.h"
#include "engine/tensor.h"
#include "tests/support/expect_error.h"
#include "tests/support/gpu.h"
#include "tests/support/random.h"

namespace engine::test {
namespace {

Tensor random_values(int64_t count) {
  Random random(7);
  Tensor tensor = Tensor::empty({count});
  for (int64_t i = 0; i < count; ++i) {
    tensor.data<float>()[i] = static_cast<float>(1e3 * random.normal());
  }
  return tensor;
}

TEST_CASE("tensors go to the GPU and back unchanged") {
  if (!has_gpu()) return;
  const Tensor host = random_values(100003);
  const Tensor gpu = host.to(Device::cuda());
  CHECK(gpu.device() == Device::cuda());
  CHECK(gpu.to(Device::cuda()).raw() == gpu.raw());
  for (const Tensor& back : {gpu.to(Device::cpu()), gpu.clone().to(Device::cpu())}) {
    CHECK(std::equal(back.data<float>(), back.data<float>() + back.elements(), host.data<float>()));
  }
  const Tensor zeros = Tensor::zeros({1000}, DType::kI32, Device::cuda()).to(Device::cpu());
  for (int64_t i = 0; i < 1000; ++i) REQUIRE(zeros.data<int32_t>()[i] == 0);
  expect_error([&] { gpu.data<float>(); }, ErrorKind::kInvalidArgument,
               "data() of a tensor on cuda:0; copy it with to(Device::cpu())");
}

TEST_CASE("the GPU converts dtypes as the CPU does") {
  if (!has_gpu()) return;
  const Tensor source = random_values(70001);
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    const Tensor expected = source.to(dtype);
    const Tensor on_gpu = source.to(Device::cuda());
    Tensor converted = Tensor::empty(source.shape(), dtype, Device::cuda());
    cuda::convert(on_gpu.raw(), DType::kF32, converted.raw(), dtype, source.elements(), nullptr);
    const Tensor found = converted.to(Device::cpu());
    CHECK(std::equal(static_cast<const uint16_t*>(found.raw()),
                     static_cast<const uint16_t*>(found.raw()) + found.elements(),
                     static_cast<const uint16_t*>(expected.raw())));
  }
}

TEST_CASE("the engine is usable after the GPU ran out of memory") {
  if (!has_gpu()) return;
  const std::optional<Error> error =
      error_of([] { Tensor::empty({int64_t{1} << 40}, DType::kF32, Device::cuda()); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::kOutOfMemory);
  CHECK(Tensor::zeros({4}, DType::kF32, Device::cuda()).to(Device::cpu()).data<float>()[3] == 0.0f);
}

}  // namespace
}  // namespace engine::test
