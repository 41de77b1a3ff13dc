// A session allocates nothing once it has run a shape, and a plan is as small for long signals as
// for short ones.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "engine/engine_state.h"
#include "engine/model/model_spec.h"
#include "engine/plan/plan.h"
#include "tests/allocations/allocation_count.h"
#include "tests/support/models.h"
#include "tests/support/paths.h"

namespace engine::test {
namespace {

constexpr int kRuns = 20;

// Every type of layer, with sizes that several threads share.
constexpr const char* kEveryLayer = R"(
format: 1
inputs:
  x: {shape: [batch, 16, length]}
  words: {shape: [batch, 9], dtype: i32}
sizes: {batch: 2, length: 6000}
layers:
  - {name: conv, type: Conv1d, inputs: [x], out_channels: 32, kernel_size: 3, padding: 1}
  - {name: relu, type: ReLU}
  - {name: long, type: Conv1d, inputs: [x], out_channels: 16, kernel_size: 125, padding: 62, groups: 16}
  - {name: depthwise, type: Conv1d, inputs: [relu], out_channels: 32, kernel_size: 5, padding: 2, groups: 32}
  - {name: residual, type: Add, inputs: [depthwise, relu]}
  - {name: strided, type: Conv1d, out_channels: 48, kernel_size: 4, stride: 2, padding_mode: reflect, padding: 1}
  - {name: leaky, type: LeakyReLU}
  - {name: up, type: ConvTranspose1d, out_channels: 16, kernel_size: 4, stride: 2}
  - {name: elu, type: ELU}
  - {name: batch_norm, type: BatchNorm1d}
  - {name: instance_norm, type: InstanceNorm1d}
  - {name: prelu, type: PReLU}
  - {name: group_norm, type: GroupNorm, num_groups: 4}
  - {name: gelu, type: GELU}
  - {name: silu, type: SiLU}
  - {name: sigmoid, type: Sigmoid}
  - {name: tanh, type: Tanh}
  - {name: softplus, type: Softplus}
  - {name: glu, type: GLU, dim: 1}
  - {name: max_pool, type: MaxPool1d, kernel_size: 2}
  - {name: avg_pool, type: AvgPool1d, kernel_size: 3, stride: 1, padding: 1}
  - {name: halves, type: Split, parts: 2}
  - {name: product, type: Mul, inputs: [halves, "halves:1"]}
  - {name: joined, type: Concat, inputs: [product, "halves:1"]}
  - {name: upsampled, type: Upsample, scale_factor: 2}
  - {name: linear_up, type: Upsample, scale_factor: 2, mode: linear}
  - {name: padded, type: Pad1d, padding: 3, mode: circular}
  - {name: slice, type: Slice, start: 5, step: 2}
  - {name: columns, type: Softmax, dim: 1}
  - {name: rows, type: Softmax}
  - {name: turned, type: Transpose}
  - {name: layer_norm, type: LayerNorm, normalized_shape: 8}
  - {name: tall, type: Linear, out_features: 100}
  - {name: log_softmax, type: LogSoftmax}
  - {name: same, type: Identity}
  - {name: mean, type: Mean, dim: 1, keepdim: true}
  - {name: flat, type: Flatten}
  - {name: wide, type: Linear, out_features: 2000}
  - {name: narrow, type: Linear, out_features: 1}
  - {name: loudest, type: AdaptiveMaxPool1d, inputs: [relu], output_size: 1}
  - {name: average, type: AdaptiveAvgPool1d, inputs: [relu], output_size: 7}
  - {name: embedded, type: Embedding, inputs: [words], num_embeddings: 5, embedding_dim: 24}
  - {name: reshaped, type: Reshape, shape: [0, 24, -1]}
outputs: {long: long, turned: turned, narrow: narrow, loudest: loudest, average: average, reshaped: reshaped}
)";

EngineOptions with_threads(int threads) {
  EngineOptions options = on_cpu();
  options.threads = threads;
  return options;
}

std::vector<Tensor> make_inputs(const Engine& engine, const std::vector<Shape>& shapes) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < shapes.size(); ++i) {
    inputs.push_back(is_floating(engine.inputs()[i].dtype)
                         ? random_tensor(shapes[i], i)
                         : Tensor::zeros(shapes[i], engine.inputs()[i].dtype));
  }
  return inputs;
}

std::vector<Tensor> make_outputs(const std::vector<TensorSpec>& specs) {
  std::vector<Tensor> outputs;
  for (const TensorSpec& spec : specs) outputs.push_back(Tensor::empty(spec.shape, spec.dtype));
  return outputs;
}

// How often `body` allocates.
template <typename Body>
int64_t allocations_of(Body&& body) {
  const int64_t before = allocation_count();
  body();
  return allocation_count() - before;
}

// The sizes that the model names, or smaller ones where they take long.
std::vector<Shape> short_shapes(const Engine& engine) {
  std::vector<Shape> shapes = engine.state()->typical_shapes();
  for (Shape& shape : shapes) {
    if (shape.size() < 3) continue;
    shape.front() = std::min<int64_t>(shape.front(), 2);
    shape.back() = std::min<int64_t>(shape.back(), 16384);
  }
  return shapes;
}

void check_allocations(const Engine& engine) {
  Session session = engine.new_session();
  const std::vector<Shape> shapes = short_shapes(engine);
  const std::vector<Tensor> inputs = make_inputs(engine, shapes);
  const std::vector<TensorSpec> specs = session.output_specs(shapes);
  std::vector<Tensor> outputs = make_outputs(specs);
  session.run_into(inputs, outputs);
  const int64_t in_runs = allocations_of([&] {
    for (int i = 0; i < kRuns; ++i) session.run_into(inputs, outputs);
  });
  CHECK(in_runs == 0);
  // run() makes the tensors that it returns.
  const int64_t of_outputs = allocations_of([&] { make_outputs(specs); });
  CHECK(allocations_of([&] { session.run(inputs); }) == of_outputs);
}

}  // namespace

TEST_CASE("allocations are counted") {
  CHECK(allocations_of([] { std::vector<int>(10).shrink_to_fit(); }) > 0);
  CHECK(allocations_of([] { Tensor::empty({3}); }) > 0);
  CHECK(allocations_of([] {}) == 0);
}

TEST_CASE("the model below has every type of layer") {
  std::set<std::string> used;
  for (const LayerSpec& layer : parse_model(kEveryLayer, "every layer").layers) {
    used.insert(layer.type);
  }
  for (const std::string& type : LayerRegistry::global().types()) {
    CAPTURE(type);
    CHECK(used.count(type) == 1);
  }
}

TEST_CASE("no layer allocates after its first run") {
  for (const int threads : {1, 2, 5}) {
    CAPTURE(threads);
    EngineOptions options = with_threads(threads);
    for (const bool fuse : {true, false}) {
      options.fuse = fuse;
      check_allocations(engine_from_text(kEveryLayer, options));
    }
  }
}

TEST_CASE("a plan takes as much memory for a long signal as for a short one") {
  const Engine engine = engine_from_text(kEveryLayer, with_threads(2));
  const auto bytes_of_plan = [&](int64_t batch, int64_t length) {
    const int64_t before = allocated_bytes();
    engine.new_session().plan_for({{batch, 16, length}, {batch, 9}});
    return allocated_bytes() - before;
  };
  bytes_of_plan(2, 6000);  // packs the weights
  const int64_t of_short = bytes_of_plan(3, 6000);
  CHECK(bytes_of_plan(2, int64_t{6000} << 25) < 2 * of_short);
  CHECK(bytes_of_plan(int64_t{2} << 25, 6000) < 2 * of_short);
}

TEST_CASE("large products do not allocate either") {
  check_allocations(
      engine_from_text("format: 1\ninputs: {x: {shape: [300, 3000]}}\nlayers:\n"
                       "  - {name: linear, type: Linear, out_features: 500}\n",
                       with_threads(2)));
}

TEST_CASE("no shipped model allocates after its first run") {
  for (const auto& file : std::filesystem::directory_iterator(source_path("graphs"))) {
    if (file.path().extension() != ".yaml") continue;
    CAPTURE(file.path());
    for (const int threads : {1, 2, 5}) {
      CAPTURE(threads);
      check_allocations(Engine::load(file.path(), with_threads(threads)));
    }
  }
}

}  // namespace engine::test
