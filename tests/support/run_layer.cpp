#include "tests/support/run_layer.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>

#include "engine/cpu/thread_pool.h"
#include "engine/cuda/runtime.h"
#include "engine/plan/weight_cache.h"
#include "tests/support/gpu.h"
#include "tests/support/guarded_buffer.h"

namespace engine::test {
namespace {

ThreadPool& test_threads() {
  static ThreadPool threads(3);  // more than one, and not a power of two
  return threads;
}

const cuda::Stream& test_stream() {
  static const cuda::Stream stream(Device::cuda());
  return stream;
}

// The specs that infer() sees: floats are f32 there whatever the precision, as in a model.
std::vector<TensorSpec> inferred_outputs(const Layer& layer, const std::vector<Tensor>& inputs,
                                         Precision precision) {
  std::vector<TensorSpec> specs;
  for (const Tensor& input : inputs) {
    specs.push_back({input.shape(), is_floating(input.dtype()) ? DType::kF32 : input.dtype()});
  }
  std::vector<TensorSpec> outputs = layer.infer(specs);
  for (TensorSpec& output : outputs) output = stored(output, precision);
  return outputs;
}

// The buffers of one Step and what points to them.
struct Buffers {
  std::vector<GuardedBuffer> inputs;
  std::vector<GuardedBuffer> outputs;
  GuardedBuffer workspace;

  Buffers(const std::vector<Tensor>& input_tensors, const std::vector<TensorSpec>& output_specs,
          int64_t workspace_bytes, Device device, int64_t band)
      : workspace(device, workspace_bytes, band) {
    for (const Tensor& tensor : input_tensors) {
      inputs.emplace_back(device, tensor.bytes(), band).write(tensor.raw());
    }
    for (const TensorSpec& spec : output_specs) outputs.emplace_back(device, spec.bytes(), band);
  }

  void check_untouched(const std::vector<Tensor>& input_tensors) const {
    for (size_t i = 0; i < inputs.size(); ++i) {
      CAPTURE(i);
      const std::vector<std::byte> bytes = inputs[i].read();
      CHECK_MESSAGE(std::memcmp(bytes.data(), input_tensors[i].raw(), bytes.size()) == 0,
                    "an input was written to");
      CHECK_MESSAGE(inputs[i].bands_intact(), "memory beside an input was written to");
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      CAPTURE(i);
      CHECK_MESSAGE(outputs[i].bands_intact(), "memory beside an output was written to");
    }
    CHECK_MESSAGE(workspace.bands_intact(), "memory beside the workspace was written to");
  }
};

void enqueue(const Step& step, const Buffers& buffers, Device device) {
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (const GuardedBuffer& input : buffers.inputs) inputs.push_back(input.data());
  for (const GuardedBuffer& output : buffers.outputs) outputs.push_back(output.data());
  StepContext context;
  context.inputs = inputs.data();
  context.outputs = outputs.data();
  context.workspace = buffers.workspace.data();
  if (device.is_cuda()) {
    context.stream = test_stream().handle();
    step.enqueue(context);
    test_stream().synchronize();
  } else {
    context.threads = &test_threads();
    step.enqueue(context);
  }
}

Tensor to_tensor(const std::vector<std::byte>& bytes, const TensorSpec& spec) {
  Tensor tensor = Tensor::empty(spec.shape, spec.dtype);
  std::memcpy(tensor.raw(), bytes.data(), bytes.size());
  return tensor;
}

}  // namespace

std::string to_string(const Target& target) {
  return fmt::format("{} {}", to_string(target.device), to_string(target.precision));
}

std::vector<Target> targets() {
  std::vector<Target> all;
  if (uses_cpu()) all.push_back({Device::cpu(), Precision::kFp32});
  if (!has_gpu()) return all;
  for (auto precision : {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16}) {
    all.push_back({Device::cuda(), precision});
  }
  return all;
}

TensorSpec stored(const TensorSpec& spec, Precision precision) {
  return {spec.shape, is_floating(spec.dtype) ? storage_dtype(precision) : spec.dtype};
}

std::vector<Tensor> run_layer(const Layer& layer, const std::vector<Tensor>& inputs,
                              const Target& target) {
  WeightCache weights;
  PrepareContext context;
  for (const Tensor& input : inputs) context.inputs.push_back(input.spec());
  context.outputs = inferred_outputs(layer, inputs, target.precision);
  context.device = target.device;
  context.precision = target.precision;
  context.layer = &layer;
  context.weights = &weights;
  if (layer.is_view()) return {inputs.at(0).reshape(context.outputs.at(0).shape)};

  const Step step = layer.prepare(context);
  CHECK_MESSAGE(!step.kernel.empty(), "the step does not name its kernel");
  const Buffers tight(inputs, context.outputs, step.workspace_bytes, target.device, 0);
  enqueue(step, tight, target.device);
  const Buffers buffers(inputs, context.outputs, step.workspace_bytes, target.device,
                        GuardedBuffer::kBand);
  enqueue(step, buffers, target.device);
  buffers.check_untouched(inputs);
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < buffers.outputs.size(); ++i) {
    outputs.push_back(to_tensor(buffers.outputs[i].read(), context.outputs[i]));
  }
  if (step.overwrites >= 0) {
    Buffers shared(inputs, context.outputs, step.workspace_bytes, target.device, 0);
    shared.outputs[0] = shared.inputs.at(static_cast<size_t>(step.overwrites));
    enqueue(step, shared, target.device);
    CHECK_MESSAGE(shared.outputs[0].read() == buffers.outputs[0].read(),
                  "the output in an input's memory differs");
  }
  return outputs;
}

}  // namespace engine::test
