#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

#include "engine/cuda/runtime.h"
#include "engine/engine_state.h"
#include "layers/conv1d/conv1d_select.h"
#include "tests/support/gpu.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/models.h"

namespace engine {
namespace {

// A small residual network with everything a plan does: fusing, views, a residual, two outputs.
constexpr const char* kModel =
    "format: 1\n"
    "inputs: {x: {shape: [batch, 4, length]}}\n"
    "layers:\n"
    "  - {name: a, type: Conv1d, out_channels: 8, kernel_size: 3, padding: 1}\n"
    "  - {name: n, type: BatchNorm1d}\n"
    "  - {name: r, type: GELU}\n"
    "  - {name: b, type: Conv1d, out_channels: 4, kernel_size: 5, padding: same}\n"
    "  - {name: sum, type: Add, inputs: [b, x]}\n"
    "  - {name: flat, type: Flatten}\n"
    "outputs: {sum: sum, flat: flat, input: x}\n";

EngineOptions on_gpu(Precision precision) {
  EngineOptions options;
  options.device = Device::cuda();
  options.precision = precision;
  return options;
}

// Convolutions that read the input, and a view of it, where the caller has it: the input has the
// storage dtype.
std::string convolutions_of(DType dtype) {
  return std::string("format: 1\ninputs: {x: {shape: [2, 64, 512], dtype: ") + to_string(dtype) +
         "}}\n"
         "layers:\n"
         "  - {name: conv, type: Conv1d, out_channels: 64, kernel_size: 3, padding: 1}\n"
         "  - {name: halves, type: Reshape, inputs: [x], shape: [0, 128, 256]}\n"
         "  - {name: other, type: Conv1d, out_channels: 32, kernel_size: 5}\n"
         "outputs: {conv: conv, other: other, input: x}\n";
}

// A copy on the GPU that begins `offset` bytes behind an aligned address, between NaN.
class MovedTensor {
 public:
  MovedTensor(const Tensor& host, int64_t offset)
      : offset_(offset),
        memory_(Device::cuda(), offset + host.bytes()),
        tensor_(Tensor::wrap(static_cast<std::byte*>(memory_.data()) + offset, host.shape(),
                             host.dtype(), Device::cuda())) {
    std::vector<std::byte> bytes(static_cast<size_t>(offset + host.bytes()), kGuard);
    std::memcpy(bytes.data() + offset, host.raw(), static_cast<size_t>(host.bytes()));
    memory_.write(bytes.data());
  }

  const Tensor& tensor() const { return tensor_; }
  bool is_guard_intact() const {
    const std::vector<std::byte> bytes = memory_.read();
    return memory_.bands_intact() && std::all_of(bytes.begin(), bytes.begin() + offset_,
                                                 [](std::byte byte) { return byte == kGuard; });
  }

 private:
  static constexpr std::byte kGuard{0xFF};

  int64_t offset_;
  test::GuardedBuffer memory_;
  Tensor tensor_;
};

// Runs one session on one input after the other, each at its place among 16 bytes, and a new
// session on the same input in memory of its own.
void check_moved_inputs(const Engine& engine, const Shape& shape, DType dtype) {
  Session session = engine.new_session();
  const auto size = static_cast<int64_t>(size_of(dtype));
  uint64_t seed = 20;
  for (const int64_t offset : {size, 16 - size, int64_t{0}, int64_t{16}, 3 * size}) {
    CAPTURE(offset);
    const Tensor input = test::random_tensor(shape, seed++).to(dtype);
    const std::vector<Tensor> expected = engine.new_session().run({input.to(Device::cuda())});
    const MovedTensor moved(input, offset);
    const std::vector<Tensor> outputs = session.run({moved.tensor()});
    for (size_t i = 0; i < outputs.size(); ++i) {
      CAPTURE(i);
      CHECK(test::max_difference(outputs[i].to(Device::cpu()), expected[i].to(Device::cpu())) ==
            0.0);
    }
    CHECK(moved.is_guard_intact());
  }
}

}  // namespace

TEST_SUITE("gpu") {
  TEST_CASE("the GPU gives what the CPU gives, to each precision's rounding") {
    if (!test::has_gpu()) return;
    const Tensor input = test::random_tensor({3, 4, 1001}, 11);
    const std::vector<Tensor> expected =
        test::engine_from_text(kModel, test::on_cpu()).run({input});
    const std::pair<Precision, double> bounds[] = {{Precision::kFp32, 1e-5},
                                                   {Precision::kTf32, 1e-2},
                                                   {Precision::kFp16, 2e-2},
                                                   {Precision::kBf16, 1e-1}};
    for (const auto& [precision, bound] : bounds) {
      CAPTURE(to_string(precision));
      const std::vector<Tensor> outputs =
          test::engine_from_text(kModel, on_gpu(precision)).run({input});
      REQUIRE(outputs.size() == 3);
      for (size_t i = 0; i < outputs.size(); ++i) {
        CHECK(outputs[i].dtype() == DType::kF32);
        CHECK_FALSE(outputs[i].device().is_cuda());
        CHECK(test::max_difference(outputs[i], expected[i]) < bound);
      }
    }
  }

  TEST_CASE("GPU inputs give GPU outputs, and run_into mixes both") {
    if (!test::has_gpu()) return;
    const Engine engine = test::engine_from_text(kModel, on_gpu(Precision::kFp32));
    const Tensor input = test::random_tensor({2, 4, 77}, 12);
    const Tensor on_host = engine.run({input})[0];
    const Tensor on_device = engine.run({input.to(Device::cuda())})[0];
    CHECK(on_device.device().is_cuda());
    CHECK(test::max_difference(on_host, on_device.to(Device::cpu())) == 0.0);

    Session session = engine.new_session();
    std::vector<Tensor> outputs{Tensor::pinned({2, 4, 77}),
                                Tensor::empty({2, 308}, DType::kF32, Device::cuda()),
                                Tensor::empty({2, 4, 77})};
    session.run_into({input}, outputs);
    CHECK(test::max_difference(outputs[0], on_host) == 0.0);
    CHECK(test::max_difference(outputs[1].to(Device::cpu()).reshape({2, 4, 77}), on_host) == 0.0);
    CHECK(test::max_difference(outputs[2], input) == 0.0);
  }

  TEST_CASE("GPU inputs may begin at any element, whichever kernel reads them") {
    if (!test::has_gpu()) return;
    for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kBf16}) {
      CAPTURE(to_string(precision));
      const DType dtype = storage_dtype(precision);
      for (const std::string& kernel : conv1d_kernel_names(Device::Type::kCuda)) {
        CAPTURE(kernel);
        EngineOptions options = on_gpu(precision);
        options.kernel = kernel;
        check_moved_inputs(test::engine_from_text(convolutions_of(dtype), options), {2, 64, 512},
                           dtype);
      }
      check_moved_inputs(test::engine_from_text(kModel, on_gpu(precision)), {3, 4, 77},
                         DType::kF32);
    }
  }

  TEST_CASE("GPU outputs may begin at any element, whether later layers read them or not") {
    if (!test::has_gpu()) return;
    const Engine engine = test::engine_from_text(
        "format: 1\ninputs: {x: {shape: [2, 4, 77]}}\nlayers:\n"
        "  - {name: a, type: Conv1d, out_channels: 8, kernel_size: 3, padding: 1}\n"
        "  - {name: b, type: Conv1d, out_channels: 4, kernel_size: 5, padding: same}\n"
        "outputs: {a: a, b: b, again: a}\n",
        on_gpu(Precision::kFp32));
    const Tensor input = test::random_tensor({2, 4, 77}, 13).to(Device::cuda());
    const std::vector<Tensor> expected = engine.run({input});
    Session session = engine.new_session();
    for (const int64_t offset : {4, 12, 0, 8}) {
      CAPTURE(offset);
      std::vector<MovedTensor> moved;
      std::vector<Tensor> outputs;
      for (const Tensor& output : expected) {
        moved.emplace_back(Tensor::zeros(output.shape()), offset);
        outputs.push_back(moved.back().tensor());
      }
      session.run_into({input}, outputs);
      session.synchronize();
      for (size_t i = 0; i < outputs.size(); ++i) {
        CAPTURE(i);
        CHECK(test::max_difference(outputs[i].to(Device::cpu()), expected[i].to(Device::cpu())) ==
              0.0);
        CHECK(moved[i].is_guard_intact());
      }
    }
  }

  TEST_CASE("many threads share one engine on the GPU") {
    if (!test::has_gpu()) return;
    const Engine engine = test::engine_from_text(kModel, on_gpu(Precision::kFp32));
    std::vector<double> worst(4, 1.0);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < worst.size(); ++t) {
      threads.emplace_back([&, t] {
        double largest = 0.0;
        for (uint64_t i = 0; i < 20; ++i) {
          const Tensor input =
              test::random_tensor({1, 4, 100 + static_cast<int64_t>(i % 3)}, 100 * t + i);
          const Tensor expected = engine.new_session().run({input})[0];
          largest = std::max(largest, test::max_difference(engine.run({input})[0], expected));
        }
        worst[t] = largest;
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const double difference : worst) CHECK(difference == 0.0);
  }

  TEST_CASE("out of GPU memory is an error, after which the engine is usable") {
    if (!test::has_gpu()) return;
    const Engine engine = test::engine_from_text(
        "format: 1\ninputs: {x: {shape: [1, 1, length]}}\nlayers:\n"
        "  - {name: up, type: Upsample, scale_factor: 1000000}\n"
        "  - {name: act, type: Tanh}\n"
        "  - {name: mean, type: Mean}\n",
        on_gpu(Precision::kFp32));
    const Tensor small = test::random_tensor({1, 1, 1}, 1);
    const Tensor before = engine.run({small})[0];
    const std::string text = test::error_text([&] {
      engine.run({Tensor::zeros({1, 1, 1000000})});
    });
    // Tanh's input and output, each of 10^12 floats.
    CHECK(text.find("out of GPU memory: 8000000.0 MB wanted on cuda:0") == 0);
    CHECK(test::max_difference(engine.run({small})[0], before) == 0.0);
  }

  TEST_CASE("a tensor moves to the GPU and back unchanged, and converts there") {
    if (!test::has_gpu()) return;
    const Tensor host = test::random_tensor({5, 7}, 4);
    const Tensor device = host.to(Device::cuda());
    CHECK(test::max_difference(device.to(Device::cpu()), host) == 0.0);
    CHECK(test::max_difference(device.clone().to(Device::cpu()), host) == 0.0);
    CHECK(test::error_text([&] { device.data<float>(); }) ==
          "data() of a tensor on cuda:0; copy it with to(Device::cpu())");
    const Tensor half = device.to(DType::kF16).to(Device::cpu());
    CHECK(test::max_difference(half.to(DType::kF32), host.to(DType::kF16).to(DType::kF32)) == 0.0);
    CHECK(test::max_difference(Tensor::zeros({3}, DType::kF32, Device::cuda()).to(Device::cpu()),
                               Tensor::zeros({3})) == 0.0);
  }

  TEST_CASE("a GPU that is not there is an error that counts those that are") {
    if (!test::has_gpu()) return;
    const std::string text = test::error_text([] { Device::parse("cuda:99"); });
    CHECK(text.find("device 'cuda:99' is not there: this machine has") == 0);
  }
}

TEST_CASE("devices are parsed by name") {
  CHECK(Device::parse("cpu") == Device::cpu());
  CHECK(test::error_text([] { Device::parse("gpu"); }) ==
        "unknown device 'gpu'; expected auto, cpu or cuda:0");
  CHECK(test::error_text([] { Device::parse("cuda:x"); }) ==
        "unknown device 'cuda:x'; expected auto, cpu or cuda:0");
}

TEST_CASE("the CPU is always listed first") {
  const std::vector<DeviceInfo> devices = list_devices();
  REQUIRE_FALSE(devices.empty());
  CHECK(devices[0].device == Device::cpu());
  CHECK(devices[0].memory_bytes > 0);
}

}  // namespace engine
