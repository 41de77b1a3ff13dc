// Recorded work on a GPU.
#include <doctest/doctest.h>

#include <vector>

#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/gpu.h"

using namespace engine;
using namespace engine::test;

namespace {

constexpr int64_t kBytes = 1 << 20;

// The bytes of device memory as one value, or -1 where they differ.
int value_of(const std::shared_ptr<void>& memory, const cuda::Stream& stream) {
  std::vector<unsigned char> bytes(kBytes);
  cuda::copy_async(bytes.data(), memory.get(), kBytes, stream.device(), stream.handle());
  stream.synchronize();
  for (const unsigned char byte : bytes) {
    if (byte != bytes[0]) return -1;
  }
  return bytes[0];
}

}  // namespace

TEST_CASE("a Graph runs nothing while it is recorded, and all of it at every launch") {
  if (!has_gpu()) return;
  const cuda::Stream stream(Device::cuda());
  const auto source = cuda::allocate(stream.device(), kBytes);
  const auto target = cuda::allocate(stream.device(), kBytes);
  const auto fill = [&](const std::shared_ptr<void>& memory, int value) {
    cuda::fill_async(memory.get(), value, kBytes, stream.device(), stream.handle());
  };
  fill(target, 1);
  const cuda::Graph graph(stream, [&] {
    cuda::copy_async(target.get(), source.get(), kBytes, stream.device(), stream.handle());
    fill(source, 9);
  });
  CHECK(value_of(target, stream) == 1);
  for (const int value : {2, 3}) {
    fill(source, value);
    graph.launch(stream.handle());
    CHECK(value_of(target, stream) == value);
    CHECK(value_of(source, stream) == 9);
  }
}

TEST_CASE("a Graph whose recording fails leaves the stream usable") {
  if (!has_gpu()) return;
  const cuda::Stream stream(Device::cuda());
  const auto memory = cuda::allocate(stream.device(), kBytes);
  const auto record = [&](const std::function<void()>& more) {
    const cuda::Graph graph(stream, [&] {
      cuda::fill_async(memory.get(), 4, kBytes, stream.device(), stream.handle());
      more();
    });
  };
  expect_error([&] { record([] { throw Error(ErrorKind::kUnsupported, "no"); }); },
               ErrorKind::kUnsupported, "no");
  // Waiting cannot be recorded.
  CHECK(error_of([&] { record([&] { stream.synchronize(); }); })->kind() == ErrorKind::kDevice);
  cuda::fill_async(memory.get(), 5, kBytes, stream.device(), stream.handle());
  CHECK(value_of(memory, stream) == 5);
}
