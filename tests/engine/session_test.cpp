#include "engine/session.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <thread>

#include "engine/engine_state.h"
#include "engine/plan/plan.h"
#include "tests/support/models.h"

namespace engine {
namespace {

// Views, a residual, two outputs of which one is a view, and an input that is an output as well.
constexpr const char* kBranches =
    "format: 1\n"
    "inputs: {x: {shape: [batch, 4, length]}}\n"
    "layers:\n"
    "  - {name: a, type: Conv1d, out_channels: 4, kernel_size: 3, padding: 1}\n"
    "  - {name: b, type: Tanh}\n"
    "  - {name: sum, type: Add, inputs: [b, a]}\n"
    "  - {name: flat, type: Flatten}\n"
    "outputs: {sum: sum, flat: flat, again: sum, input: x}\n";

// A copy of f32 values that begins one element behind where memory is aligned.
Tensor behind_one_element(const Tensor& tensor) {
  const auto memory = std::make_shared<Tensor>(Tensor::empty({tensor.elements() + 1}));
  float* values = memory->data<float>() + 1;
  std::copy_n(tensor.data<float>(), tensor.elements(), values);
  return Tensor::share(memory, values, tensor.shape(), DType::kF32);
}

}  // namespace

TEST_CASE("outputs that share a value, a view or the input are all complete") {
  const Engine engine = test::engine_from_text(kBranches, test::on_cpu());
  const Tensor input = test::random_tensor({2, 4, 9}, 1);
  const std::vector<Tensor> outputs = engine.run({input});
  REQUIRE(outputs.size() == 4);
  CHECK(outputs[1].shape() == Shape{2, 36});
  CHECK(test::max_difference(outputs[0], outputs[1].reshape({2, 4, 9})) == 0.0);
  CHECK(test::max_difference(outputs[0], outputs[2]) == 0.0);
  CHECK(test::max_difference(input, outputs[3]) == 0.0);
}

TEST_CASE("a session runs one shape after another and gives what a fresh one gives") {
  const Engine engine = test::engine_from_text(kBranches, test::on_cpu());
  Session session = engine.new_session();
  for (const int64_t length : {9, 300, 1, 300, 9}) {
    CAPTURE(length);
    const Tensor input = test::random_tensor({3, 4, length}, 5);
    CHECK(test::max_difference(session.run({input})[0], engine.new_session().run({input})[0]) ==
          0.0);
  }
  CHECK(engine.state()->plans.size() == 3);
}

TEST_CASE("weights packed for a transposed convolution of few outputs do not serve a longer one") {
  const std::string yaml =
      "format: 1\ninputs: {x: {shape: [1, 3, length]}}\nlayers:\n"
      "  - {name: up, type: ConvTranspose1d, out_channels: 4, kernel_size: 6, stride: 5, padding: "
      "[5, 0]}\n";
  const Engine used = test::engine_from_text(yaml, test::on_cpu());
  const Engine fresh = test::engine_from_text(yaml, test::on_cpu());
  used.run({Tensor::zeros({1, 3, 1})});
  const Tensor input = test::random_tensor({1, 3, 9}, 1);
  CHECK(test::max_difference(used.run({input})[0], fresh.run({input})[0]) == 0.0);
}

TEST_CASE("the plan cache is bounded") {
  const Engine engine = test::engine_from_text(kBranches, test::on_cpu());
  for (int64_t length = 1; length <= 100; ++length) {
    engine.run({Tensor::zeros({1, 4, length})});
  }
  CHECK(engine.state()->plans.size() == PlanCache::kCapacity);
}

TEST_CASE("the arena overlaps values whose lifetimes do not") {
  const Engine engine = test::engine_from_text(
      "format: 1\ninputs: {x: {shape: [batch, 4, length]}}\nlayers:\n"
      "  - {name: a, type: Softmax}\n  - {name: b, type: Softmax}\n"
      "  - {name: c, type: Softmax}\n  - {name: d, type: Softmax}\n",
      test::on_cpu());
  Session session = engine.new_session();
  const auto plan = session.plan_for({{1, 4, 1024}});
  CHECK(plan->arena_bytes <= 3 * 4 * 1024 * 4);
  CHECK(plan->total_bytes >= plan->arena_bytes);
}

TEST_CASE("Engine::run gives every thread its own answer") {
  const Engine engine = test::engine_from_text(kBranches, test::on_cpu());
  std::vector<std::thread> threads;
  std::vector<double> worst(4, std::numeric_limits<double>::infinity());
  for (size_t t = 0; t < worst.size(); ++t) {
    threads.emplace_back([&, t] {
      double largest = 0.0;
      for (uint64_t i = 0; i < 20; ++i) {
        const Tensor input =
            test::random_tensor({1, 4, 64 + static_cast<int64_t>(i % 3)}, 100 * t + i);
        const Tensor expected = engine.new_session().run({input})[0];
        largest = std::max(largest, test::max_difference(engine.run({input})[0], expected));
      }
      worst[t] = largest;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const double difference : worst) CHECK(difference == 0.0);
}

TEST_CASE("inputs that do not fit are errors, after which the session is usable") {
  const Engine engine = test::engine_from_text(kBranches, test::on_cpu());
  Session session = engine.new_session();
  const auto text = [&](const std::vector<Tensor>& inputs) {
    return test::error_text([&] { session.run(inputs); });
  };
  CHECK(text({}) == "the model takes 1 input, found 0");
  CHECK(text({Tensor::zeros({4, 9})}) ==
        "input 'x': expected shape [batch, 4, length], found [4, 9]");
  CHECK(text({Tensor::zeros({1, 5, 9})}) ==
        "input 'x': expected shape [batch, 4, length], found [1, 5, 9]");
  CHECK(text({Tensor::zeros({1, 4, 0})}) ==
        "input 'x': expected shape [batch, 4, length], found [1, 4, 0]; every size must be at "
        "least 1");
  CHECK(text({Tensor::zeros({1, 4, 9}, DType::kF16)}) ==
        "input 'x': expected dtype f32, found f16; convert it with Tensor::to");
  CHECK(session.run({Tensor::zeros({1, 4, 9})}).size() == 4);
}

TEST_CASE("a name stands for one size in all inputs") {
  const Engine engine = test::engine_from_text(
      "format: 1\ninputs: {x: {shape: [n, length]}, y: {shape: [n, length]}}\n"
      "layers:\n  - {name: s, type: Add, inputs: [x, y]}\n",
      test::on_cpu());
  const std::string text = test::error_text([&] {
    engine.run({Tensor::zeros({2, 5}), Tensor::zeros({2, 6})});
  });
  CHECK(text ==
        "input 'y': expected shape [n, length], found [2, 6]; 'length' is 5 in another place");
}

TEST_CASE("run_into writes into the caller's memory and rejects tensors of other shapes") {
  const Engine engine = test::engine_from_text(
      "format: 1\ninputs: {x: {shape: [n]}}\nlayers:\n  - {name: r, type: ReLU}\n", test::on_cpu());
  Session session = engine.new_session();
  std::vector<float> memory{9.0f, 9.0f, 9.0f};
  float values[] = {-1.0f, 2.0f, -3.0f};
  std::vector<Tensor> outputs{Tensor::wrap(memory.data(), {3})};
  session.run_into({Tensor::wrap(values, {3})}, outputs);
  CHECK(memory == std::vector<float>{0.0f, 2.0f, 0.0f});
  std::vector<Tensor> wrong{Tensor::empty({4})};
  CHECK(test::error_text([&] { session.run_into({Tensor::wrap(values, {3})}, wrong); }) ==
        "output 'output': expected a tensor f32 [3], found f32 [4]");
}

TEST_CASE("a CPU session takes inputs and outputs at any element") {
  const Engine engine = test::engine_from_text(kBranches, test::on_cpu());
  const Tensor input = test::random_tensor({2, 4, 9}, 1);
  const std::vector<Tensor> expected = engine.run({input});
  std::vector<Tensor> outputs;
  for (const Tensor& output : expected) {
    outputs.push_back(behind_one_element(Tensor::zeros(output.shape())));
  }
  engine.new_session().run_into({behind_one_element(input)}, outputs);
  for (size_t i = 0; i < outputs.size(); ++i) {
    CHECK(test::max_difference(outputs[i], expected[i]) == 0.0);
  }
}

TEST_CASE("check_finite finds the first value that is not finite, and only where asked") {
  const std::string yaml =
      "format: 1\ninputs: {x: {shape: [n, length]}}\nlayers:\n  - {name: r, type: ReLU}\n";
  EngineOptions checked = test::on_cpu();
  checked.check_finite = true;
  Tensor input = Tensor::zeros({2, 3});
  input.data<float>()[4] = std::numeric_limits<float>::infinity();
  CHECK(test::engine_from_text(yaml, test::on_cpu()).run({input}).size() == 1);
  const std::string text =
      test::error_text([&] { test::engine_from_text(yaml, checked).run({input}); });
  CHECK(text.find("output 'output' holds inf at [1, 1]") == 0);
}

TEST_CASE("f16 inputs are converted on the way in") {
  const Engine engine = test::engine_from_text(
      "format: 1\ninputs: {x: {dtype: f16, shape: [n]}}\nlayers:\n  - {name: r, type: ReLU}\n",
      test::on_cpu());
  const Tensor input = test::random_tensor({100}, 9).to(DType::kF16);
  const Tensor output = engine.run({input}).front();
  const Tensor expected = input.to(DType::kF32);
  for (int64_t i = 0; i < 100; ++i) {
    CHECK(output.data<float>()[i] == std::max(0.0f, expected.data<float>()[i]));
  }
}

TEST_CASE("a precision that the CPU lacks is refused at load") {
  EngineOptions options = test::on_cpu();
  options.precision = Precision::kFp16;
  const std::string text = test::error_text([&] { test::engine_from_text(kBranches, options); });
  CHECK(text ==
        "the CPU computes in fp32 only, found precision fp16; use a GPU (--device cuda) or "
        "--precision fp32");
}

TEST_CASE("memory that cannot be had is an error, after which the engine is usable") {
  const Engine engine = test::engine_from_text(
      "format: 1\ninputs: {x: {shape: [n]}}\nlayers:\n"
      "  - {name: up, type: Reshape, shape: [1, 1, -1]}\n"
      "  - {name: a, type: Upsample, scale_factor: 1000000000000}\n"
      "  - {name: b, type: Softmax}\n",
      test::on_cpu());
  Tensor input = Tensor::zeros({1000});
  CHECK_THROWS_AS(engine.run({input}), Error);
  CHECK(engine.name() == "test");
}

}  // namespace engine
