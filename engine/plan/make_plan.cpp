// Graph + input shapes + device -> Plan.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/cpu/convert.h"
#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "engine/graph/graph.h"
#include "engine/plan/arena.h"
#include "engine/plan/plan.h"

namespace engine {
namespace {

// Copies a value, converting its dtype: between the caller's dtypes and the storage dtype.
Step conversion_step(const TensorSpec& from, const TensorSpec& to, Device device) {
  const int64_t count = from.elements();
  const DType source = from.dtype;
  const DType target = to.dtype;
  const int64_t bytes = to.bytes();
  if (source == target) {
    return {"copy", "", 0, [=](const StepContext& c) {
              if (device.is_cuda()) {
                cuda::copy_async(c.outputs[0], c.inputs[0], bytes, device, c.stream);
              } else {
                std::memcpy(c.outputs[0], c.inputs[0], static_cast<size_t>(bytes));
              }
            }};
  }
  return {"convert", "", 0, [=](const StepContext& c) {
            if (device.is_cuda()) {
              cuda::convert(c.inputs[0], source, c.outputs[0], target, count, c.stream);
            } else {
              convert_elements(c.inputs[0], source, c.outputs[0], target, count);
            }
          }};
}

// Makes one plan; holds what is only needed while doing so.
class Planner {
 public:
  Planner(const Graph& graph, const std::vector<Shape>& input_shapes, const PlanContext& context)
      : graph_(graph), context_(context), specs_(infer_values(graph, input_shapes)) {
    plan_.input_shapes = input_shapes;
    for (TensorSpec& spec : specs_) {
      if (is_floating(spec.dtype)) spec.dtype = storage_dtype(context.precision);
    }
    slots_.resize(specs_.size());
    buffer_.assign(specs_.size(), -1);
    roots_.resize(specs_.size());
    for (size_t i = 0; i < roots_.size(); ++i) roots_[i] = static_cast<int>(i);
  }

  Plan make() {
    for (const Node& node : graph_.nodes) {
      if (node.layer->is_view()) root(node.outputs[0]) = root(node.inputs[0]);
    }
    count_readers();
    add_inputs();
    choose_output_homes();
    for (const Node& node : graph_.nodes) add_node(node);
    add_output_conversions();
    place();
    return std::move(plan_);
  }

 private:
  // A view shares the memory of its input; the root is the value that owns it.
  int& root(int value) { return roots_[static_cast<size_t>(value)]; }
  const TensorSpec& spec(int value) const { return specs_[static_cast<size_t>(value)]; }
  Slot& slot(int value) { return slots_[static_cast<size_t>(root(value))]; }

  // The spec of an input or output as the caller sees it.
  TensorSpec outside(const TensorSpec& inside, DType floating) const {
    return {inside.shape, is_floating(inside.dtype) ? floating : inside.dtype};
  }

  int now() const { return static_cast<int>(plan_.steps.size()); }

  // Gives a value memory of its own in the arena, alive from the step being added.
  void allocate(int value) {
    buffer_[static_cast<size_t>(value)] = static_cast<int>(buffers_.size());
    buffers_.push_back({spec(value).bytes(), now(), now()});
  }

  // Records that the step being added reads or writes the value.
  void touch(int value) {
    const int buffer = buffer_[static_cast<size_t>(root(value))];
    if (buffer >= 0) buffers_[static_cast<size_t>(buffer)].last = now();
  }

  void add_inputs() {
    for (size_t i = 0; i < graph_.inputs.size(); ++i) {
      const GraphInput& input = graph_.inputs[i];
      const Slot here{Slot::Home::kInput, static_cast<int>(i), 0};
      const TensorSpec given = outside(spec(input.value), input.spec.dtype);
      if (given.dtype == spec(input.value).dtype) {
        slot(input.value) = here;
        continue;
      }
      allocate(input.value);
      PlanStep step{fmt::format("input {}", input.spec.name), "Convert"};
      step.input_specs = {given};
      step.output_specs = {spec(input.value)};
      step.inputs = {here};
      step.step = conversion_step(given, spec(input.value), context_.device);
      push(std::move(step), {}, {input.value});
    }
  }

  // How often each root value's memory is yet to be read. Views read nothing.
  void count_readers() {
    readers_.resize(specs_.size());
    for (const Node& node : graph_.nodes) {
      if (node.layer->is_view()) continue;
      for (const int value : node.inputs) ++readers_[static_cast<size_t>(root(value))];
    }
    for (const GraphOutput& output : graph_.outputs) {
      ++readers_[static_cast<size_t>(root(output.value))];
    }
  }

  // Whether the node may compute its output in the memory of that input: nothing reads it later,
  // nor does the node itself as another input.
  bool can_overwrite(const Node& node, int input) {
    const int value = node.inputs[static_cast<size_t>(input)];
    const auto owner = static_cast<size_t>(root(value));
    return readers_[owner] == 1 && buffer_[owner] >= 0 &&
           spec(value).bytes() == spec(node.outputs[0]).bytes() &&
           specs_[owner].bytes() == spec(value).bytes();
  }

  // Gives a value, and the views of it, the memory of another one.
  void share_memory(int value, int owner) {
    readers_[static_cast<size_t>(owner)] += readers_[static_cast<size_t>(value)];
    std::replace(roots_.begin(), roots_.end(), value, owner);
    plan_.total_bytes += spec(value).bytes();
  }

  // A value that leaves the model in its storage dtype is computed in the caller's memory.
  void choose_output_homes() {
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      const int value = graph_.outputs[i].value;
      plan_.outputs.push_back(outside(spec(value), DType::kF32));
      const bool is_arena = slot(value).home == Slot::Home::kArena;
      const bool is_converted_input = buffer_[static_cast<size_t>(root(value))] >= 0;
      if (is_arena && !is_converted_input && plan_.outputs.back().dtype == spec(value).dtype) {
        slot(value) = {Slot::Home::kOutput, static_cast<int>(i), 0};
      }
    }
  }

  void add_node(const Node& node) {
    PrepareContext context;
    for (const int value : node.inputs) context.inputs.push_back(spec(value));
    for (const int value : node.outputs) context.outputs.push_back(spec(value));
    context.device = context_.device;
    context.precision = context_.precision;
    context.threads = context_.threads;
    context.layer = node.layer.get();
    context.weights = context_.weights;
    context.kernel = context_.kernel;
    PlanStep step{node.name, node.type, context.inputs, context.outputs};
    step.step = node.layer->is_view() ? Step{"view", "", 0, nullptr} : prepare(node, context);
    step.flops = node.layer->flops(context.inputs, context.outputs);
    for (const auto& [name, tensor] : node.layer->loaded_parameters()) {
      step.parameter_bytes += tensor.bytes();
    }
    for (const int value : node.outputs) {
      const bool owns = root(value) == value && slot(value).home == Slot::Home::kArena;
      if (!owns) continue;
      const int source = value == node.outputs[0] ? step.step.overwrites : -1;
      if (source >= 0 && can_overwrite(node, source)) {
        share_memory(value, root(node.inputs[static_cast<size_t>(source)]));
      } else {
        allocate(value);
      }
    }
    if (!node.layer->is_view()) {
      for (const int value : node.inputs) --readers_[static_cast<size_t>(root(value))];
    }
    push(std::move(step), node.inputs, node.outputs);
  }

  Step prepare(const Node& node, const PrepareContext& context) {
    try {
      return node.layer->prepare(context);
    } catch (const Error& error) {
      throw Error(error.kind(),
                  fmt::format("layer '{}' ({}): {}", node.name, node.type, error.what()));
    }
  }

  void add_output_conversions() {
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      const int value = graph_.outputs[i].value;
      const Slot home{Slot::Home::kOutput, static_cast<int>(i), 0};
      if (slot(value).home == home.home && slot(value).index == home.index) continue;
      PlanStep step{fmt::format("output {}", graph_.outputs[i].name), "Convert"};
      step.input_specs = {spec(value)};
      step.output_specs = {plan_.outputs[i]};
      step.outputs = {home};
      step.step = conversion_step(spec(value), plan_.outputs[i], context_.device);
      push(std::move(step), {value}, {});
    }
  }

  // Adds a step that reads and writes these values, and its workspace.
  void push(PlanStep step, const std::vector<int>& inputs, const std::vector<int>& outputs) {
    for (const int value : inputs) touch(value);
    for (const int value : outputs) touch(value);
    step_values_.push_back({inputs, outputs, -1});
    if (step.step.workspace_bytes > 0) {
      step_values_.back().workspace = static_cast<int>(buffers_.size());
      buffers_.push_back({step.step.workspace_bytes, now(), now()});
    }
    plan_.steps.push_back(std::move(step));
  }

  Slot placed_slot(int value) {
    Slot result = slot(value);
    const int buffer = buffer_[static_cast<size_t>(root(value))];
    if (buffer >= 0) result.offset = buffers_[static_cast<size_t>(buffer)].offset;
    return result;
  }

  void place() {
    plan_.arena_bytes = place_buffers(buffers_);
    for (const ArenaBuffer& buffer : buffers_) plan_.total_bytes += buffer.bytes;
    for (size_t i = 0; i < plan_.steps.size(); ++i) {
      PlanStep& step = plan_.steps[i];
      const StepValues& values = step_values_[i];
      for (const int value : values.inputs) step.inputs.push_back(placed_slot(value));
      for (const int value : values.outputs) step.outputs.push_back(placed_slot(value));
      if (values.workspace >= 0) {
        step.workspace_offset = buffers_[static_cast<size_t>(values.workspace)].offset;
      }
    }
  }

  struct StepValues {
    std::vector<int> inputs;
    std::vector<int> outputs;
    int workspace;  // index into buffers_, or -1
  };

  const Graph& graph_;
  const PlanContext& context_;
  Plan plan_;
  std::vector<TensorSpec> specs_;  // by value, in storage dtypes
  std::vector<int> roots_;         // by value
  std::vector<int> readers_;       // by root value: that have not run
  std::vector<Slot> slots_;        // by root value
  std::vector<int> buffer_;        // by root value: index into buffers_, or -1
  std::vector<ArenaBuffer> buffers_;
  std::vector<StepValues> step_values_;
};

std::string place_text(const Slot& slot) {
  switch (slot.home) {
    case Slot::Home::kInput:
      return fmt::format("input {}", slot.index);
    case Slot::Home::kOutput:
      return fmt::format("output {}", slot.index);
    case Slot::Home::kArena:
      break;
  }
  return fmt::format("arena +{}", slot.offset);
}

}  // namespace

Plan make_plan(const Graph& graph, const std::vector<Shape>& input_shapes,
               const PlanContext& context) {
  check_input_shapes(graph, input_shapes);
  return Planner(graph, input_shapes, context).make();
}

std::string to_string(const Plan& plan) {
  std::string text;
  for (const PlanStep& step : plan.steps) {
    text += fmt::format("{:<24} {:<16} {:<28}", step.layer, step.type, step.step.kernel);
    for (size_t i = 0; i < step.output_specs.size(); ++i) {
      text +=
          fmt::format(" {} at {}", to_string(step.output_specs[i]), place_text(step.outputs[i]));
    }
    text += '\n';
  }
  return text +
         fmt::format("arena: {} bytes ({} without overlap)\n", plan.arena_bytes, plan.total_bytes);
}

}  // namespace engine
