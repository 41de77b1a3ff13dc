#include "engine/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "engine/cpu/host_memory.h"
#include "engine/cuda/runtime.h"
#include "engine/engine_state.h"
#include "engine/error.h"
#include "engine/plan/arena.h"

namespace engine {

// Memory that grows to the largest size asked for and is used again by every later run.
class Scratch {
 public:
  void* reserve(int64_t bytes, Device device, const std::shared_ptr<cuda::Stream>& stream) {
    if (bytes <= capacity_) return memory_.get();
    // The old memory goes first, so that both are never held; a failure leaves an empty scratch.
    memory_.reset();
    capacity_ = 0;
    if (device.is_cuda()) {
      memory_ = cuda::allocate(device, bytes, stream);
    } else {
      memory_ = allocate_host(bytes);
      if (!memory_) {
        throw Error(ErrorKind::kOutOfMemory,
                    fmt::format("out of memory: {:.1f} MB wanted for intermediate values; use a "
                                "smaller batch or length",
                                static_cast<double>(bytes) / 1e6));
      }
    }
    capacity_ = bytes;
    return memory_.get();
  }

 private:
  std::shared_ptr<void> memory_;
  int64_t capacity_ = 0;
};

struct Session::Impl {
  std::shared_ptr<const EngineState> engine;
  std::shared_ptr<cuda::Stream> stream;  // null on the CPU
  std::shared_ptr<const Plan> plan;      // of the last run
  Scratch arena;
  std::vector<Scratch> device_inputs;   // copies of inputs that the GPU cannot read in place
  std::vector<Scratch> device_outputs;  // results on the way to where the caller wants them
  std::vector<const void*> input_pointers;
  std::vector<void*> output_pointers;
  std::vector<const void*> step_inputs;  // of the step being run
  std::vector<void*> step_outputs;
  Observer observer;

  Device device() const { return engine->options.device; }
  CudaStream stream_handle() const { return stream ? stream->handle() : nullptr; }

  void check_inputs(const std::vector<Tensor>& inputs) const;
  void use_plan_for(const std::vector<Tensor>& inputs);
  bool is_read_in_place(const Tensor& input) const;
  bool bind_inputs(const std::vector<Tensor>& inputs);
  bool is_written_in_place(const Tensor& output, size_t index) const;
  bool bind_outputs(std::vector<Tensor>& outputs);
  void run_steps(void* arena_base);
  void run_step(size_t index, char* arena_base);
  void copy_results(std::vector<Tensor>& outputs);
  void check_finite(const std::vector<Tensor>& outputs) const;
};

namespace {

const void* resolve(const Slot& slot, const char* arena, const std::vector<const void*>& inputs,
                    const std::vector<void*>& outputs) {
  const auto index = static_cast<size_t>(slot.index);
  if (slot.home == Slot::Home::kInput) return inputs[index];
  if (slot.home == Slot::Home::kOutput) return outputs[index];
  return arena + slot.offset;
}

std::vector<Shape> shapes_of(const std::vector<Tensor>& tensors) {
  std::vector<Shape> shapes;
  for (const Tensor& tensor : tensors) shapes.push_back(tensor.shape());
  return shapes;
}

static_assert(kArenaAlignment % kInputAlignment == 0, "steps read their inputs from the arena");

bool is_aligned(const Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.raw()) % kInputAlignment == 0;
}

// Whether a step reads what another one writes to that output.
bool is_read(const Plan& plan, size_t output) {
  const auto is_output = [&](const Slot& slot) {
    return slot.home == Slot::Home::kOutput && slot.index == static_cast<int>(output);
  };
  return std::any_of(plan.steps.begin(), plan.steps.end(), [&](const PlanStep& step) {
    return std::any_of(step.inputs.begin(), step.inputs.end(), is_output);
  });
}

[[noreturn]] void reject(const std::string& message) {
  throw Error(ErrorKind::kInvalidArgument, message);
}

std::string position_text(int64_t index, const Shape& shape) {
  Shape position(shape.size());
  for (size_t d = shape.size(); d-- > 0; index /= shape[d]) position[d] = index % shape[d];
  return to_string(position);
}

}  // namespace

void Session::Impl::check_inputs(const std::vector<Tensor>& inputs) const {
  if (inputs.size() != engine->inputs.size()) {
    reject(fmt::format("the model takes {} input{}, found {}", engine->inputs.size(),
                       engine->inputs.size() == 1 ? "" : "s", inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const PortInfo& port = engine->inputs[i];
    if (inputs[i].dtype() != port.dtype) {
      reject(fmt::format("input '{}': expected dtype {}, found {}; convert it with Tensor::to",
                         port.name, to_string(port.dtype), to_string(inputs[i].dtype())));
    }
    if (inputs[i].device().is_cuda() && inputs[i].device() != device()) {
      reject(fmt::format("input '{}' is on {}, but the engine runs on {}; move it with Tensor::to",
                         port.name, to_string(inputs[i].device()), to_string(device())));
    }
  }
}

void Session::Impl::use_plan_for(const std::vector<Tensor>& inputs) {
  const auto same_shape = [](const Tensor& tensor, const Shape& shape) {
    return tensor.shape() == shape;
  };
  if (plan && std::equal(inputs.begin(), inputs.end(), plan->input_shapes.begin(),
                         plan->input_shapes.end(), same_shape)) {
    return;
  }
  const std::vector<Shape> shapes = shapes_of(inputs);
  plan = engine->plans.get(shapes, [&] { return engine->make_plan_for(shapes); });
  size_t most_inputs = 0;
  size_t most_outputs = 0;
  for (const PlanStep& step : plan->steps) {
    most_inputs = std::max(most_inputs, step.inputs.size());
    most_outputs = std::max(most_outputs, step.outputs.size());
  }
  step_inputs.resize(most_inputs);
  step_outputs.resize(most_outputs);
}

bool Session::Impl::is_read_in_place(const Tensor& input) const {
  return !stream || (input.device().is_cuda() && is_aligned(input));
}

// Returns whether any input is host memory that a GPU must be sent.
bool Session::Impl::bind_inputs(const std::vector<Tensor>& inputs) {
  input_pointers.resize(inputs.size());
  device_inputs.resize(inputs.size());
  bool any_on_host = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    input_pointers[i] = inputs[i].raw();
    if (is_read_in_place(inputs[i])) continue;
    void* copy = device_inputs[i].reserve(inputs[i].bytes(), device(), stream);
    cuda::copy_async(copy, inputs[i].raw(), inputs[i].bytes(), device(), stream->handle());
    input_pointers[i] = copy;
    any_on_host = any_on_host || !inputs[i].device().is_cuda();
  }
  return any_on_host;
}

bool Session::Impl::is_written_in_place(const Tensor& output, size_t index) const {
  if (!stream) return true;
  return output.device().is_cuda() && (is_aligned(output) || !is_read(*plan, index));
}

// Returns whether any output is host memory that the GPU's results must be copied to.
bool Session::Impl::bind_outputs(std::vector<Tensor>& outputs) {
  if (outputs.size() != plan->outputs.size()) {
    reject(fmt::format("the model gives {} outputs, found {} tensors for them",
                       plan->outputs.size(), outputs.size()));
  }
  output_pointers.resize(outputs.size());
  device_outputs.resize(outputs.size());
  bool any_on_host = false;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].spec() != plan->outputs[i]) {
      reject(fmt::format("output '{}': expected a tensor {}, found {}", engine->outputs[i].name,
                         to_string(plan->outputs[i]), to_string(outputs[i].spec())));
    }
    if (outputs[i].device().is_cuda() && outputs[i].device() != device()) {
      reject(fmt::format("output '{}' is on {}, but the engine runs on {}", engine->outputs[i].name,
                         to_string(outputs[i].device()), to_string(device())));
    }
    output_pointers[i] = outputs[i].raw();
    if (is_written_in_place(outputs[i], i)) continue;
    output_pointers[i] = device_outputs[i].reserve(outputs[i].bytes(), device(), stream);
    any_on_host = any_on_host || !outputs[i].device().is_cuda();
  }
  return any_on_host;
}

void Session::Impl::run_step(size_t index, char* arena_base) {
  const PlanStep& step = plan->steps[index];
  for (size_t i = 0; i < step.inputs.size(); ++i) {
    step_inputs[i] = resolve(step.inputs[i], arena_base, input_pointers, output_pointers);
  }
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    step_outputs[i] =
        const_cast<void*>(resolve(step.outputs[i], arena_base, input_pointers, output_pointers));
  }
  StepContext context;
  context.inputs = step_inputs.data();
  context.outputs = step_outputs.data();
  context.workspace = arena_base + step.workspace_offset;
  context.stream = stream_handle();
  context.threads = engine->threads.get();
  step.step.enqueue(context);
}

void Session::Impl::run_steps(void* arena_base) {
  if (stream) cuda::use_device(device());
  for (size_t i = 0; i < plan->steps.size(); ++i) {
    const PlanStep& step = plan->steps[i];
    if (observer.begin) observer.begin(i);
    try {
      if (step.step.enqueue) run_step(i, static_cast<char*>(arena_base));
    } catch (const Error& error) {
      throw Error(error.kind(),
                  fmt::format("layer '{}' ({}, input {}, kernel {}): {}", step.layer, step.type,
                              step.input_specs.empty() ? "-" : to_string(step.input_specs[0]),
                              step.step.kernel, error.what()));
    }
    if (observer.end) observer.end(i);
  }
}

// Copies what was not computed where the caller wants it.
void Session::Impl::copy_results(std::vector<Tensor>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (output_pointers[i] == outputs[i].raw()) continue;
    cuda::copy_async(outputs[i].raw(), output_pointers[i], outputs[i].bytes(), device(),
                     stream->handle());
  }
}

void Session::Impl::check_finite(const std::vector<Tensor>& outputs) const {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].dtype() != DType::kF32) continue;
    const Tensor host = outputs[i].to(Device::cpu());
    const float* data = host.data<float>();
    const float* end = data + host.elements();
    const float* bad = std::find_if(data, end, [](float value) { return !std::isfinite(value); });
    if (bad == end) continue;
    reject(
        fmt::format("output '{}' holds {} at {}; look at the input, or find the layer with "
                    "`engine compare`",
                    engine->outputs[i].name, *bad, position_text(bad - data, host.shape())));
  }
}

Session::Session(std::shared_ptr<const EngineState> engine) : impl_(std::make_unique<Impl>()) {
  if (engine->options.device.is_cuda()) {
    impl_->stream = std::make_shared<cuda::Stream>(engine->options.device);
  }
  impl_->engine = std::move(engine);
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

std::vector<Tensor> Session::run(const std::vector<Tensor>& inputs) {
  impl_->check_inputs(inputs);
  impl_->use_plan_for(inputs);
  const bool all_on_host = std::none_of(inputs.begin(), inputs.end(),
                                        [](const Tensor& t) { return t.device().is_cuda(); });
  std::vector<Tensor> outputs;
  for (const TensorSpec& spec : impl_->plan->outputs) {
    outputs.push_back(
        Tensor::empty(spec.shape, spec.dtype, all_on_host ? Device::cpu() : impl_->device()));
  }
  run_into(inputs, outputs);
  synchronize();
  return outputs;
}

void Session::run_into(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs) {
  impl_->check_inputs(inputs);
  impl_->use_plan_for(inputs);
  const bool host_outputs = impl_->bind_outputs(outputs);
  const bool host_inputs = impl_->bind_inputs(inputs);
  impl_->run_steps(impl_->arena.reserve(impl_->plan->arena_bytes, impl_->device(), impl_->stream));
  impl_->copy_results(outputs);
  if (host_inputs || host_outputs) synchronize();
  if (impl_->engine->options.check_finite) {
    synchronize();
    impl_->check_finite(outputs);
  }
}

std::vector<TensorSpec> Session::output_specs(const std::vector<Shape>& input_shapes) {
  return plan_for(input_shapes)->outputs;
}

void Session::set_observer(Observer observer) { impl_->observer = std::move(observer); }

std::shared_ptr<const Plan> Session::plan_for(const std::vector<Shape>& input_shapes) {
  const EngineState& engine = *impl_->engine;
  return engine.plans.get(input_shapes, [&] { return engine.make_plan_for(input_shapes); });
}

CudaStream Session::stream() const { return impl_->stream_handle(); }

void Session::synchronize() {
  if (impl_->stream) impl_->stream->synchronize();
}

}  // namespace engine
