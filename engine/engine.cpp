#include "engine/engine.h"

#include <fmt/format.h>

#include <filesystem>

#include "engine/cuda/runtime.h"
#include "engine/engine_state.h"
#include "engine/graph/passes.h"
#include "engine/model/model_spec.h"

namespace engine {

// Sessions that no thread is using, kept for the next Engine::run.
struct Engine::IdleSessions {
  std::mutex mutex;
  std::vector<Session> sessions;
};

namespace {

void check_options(const EngineOptions& options) {
  if (!options.device.is_cuda() && options.precision != Precision::kFp32) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("the CPU computes in fp32 only, found precision {}; use a GPU "
                            "(--device cuda) or --precision fp32",
                            to_string(options.precision)));
  }
  if (options.threads < 0) {
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("threads must be 0 (all) or more, found {}", options.threads));
  }
  // Finds out at once whether the GPU can be used at all.
  if (options.device.is_cuda()) cuda::Stream probe(options.device);
}

WeightFile open_weights(const ModelSpec& spec) {
  if (!std::filesystem::exists(spec.weights_path)) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: no such weight file, named by 'weights' in {}; `engine init {}` "
                            "writes random weights to try the graph",
                            spec.weights_path, spec.path, spec.path));
  }
  return WeightFile::open(spec.weights_path);
}

void load_weights(Graph& graph, const ModelSpec& spec) {
  if (!spec.weights_path.empty()) {
    load_parameters(graph, open_weights(spec));
    return;
  }
  constexpr uint64_t kSeed = 0;
  load_parameters(graph,
                  WeightFile::from_tensors("random weights", random_parameters(graph, kSeed)));
}

std::vector<PortInfo> describe_inputs(const Graph& graph) {
  std::vector<PortInfo> ports;
  for (const GraphInput& input : graph.inputs) {
    PortInfo port{input.spec.name, input.spec.dtype, {}, input.spec.sample_rate};
    for (const SizeSpec& size : input.spec.shape) {
      port.shape.push_back(size.is_named() ? size.name : fmt::format("{}", size.value));
    }
    ports.push_back(std::move(port));
  }
  return ports;
}

std::vector<PortInfo> describe_outputs(const Graph& graph) {
  std::vector<PortInfo> ports;
  for (const GraphOutput& output : graph.outputs) {
    const TensorSpec& spec = graph.values[static_cast<size_t>(output.value)].typical;
    PortInfo port{output.name, spec.dtype, {}, std::nullopt};
    for (const int64_t size : spec.shape) port.shape.push_back(fmt::format("{}", size));
    ports.push_back(std::move(port));
  }
  return ports;
}

void check_labels(const ModelSpec& spec, const Graph& graph) {
  if (spec.labels.empty()) return;
  const Shape& shape = graph.values[static_cast<size_t>(graph.outputs[0].value)].typical.shape;
  const int64_t classes = shape.empty() ? 1 : shape.back();
  if (classes != static_cast<int64_t>(spec.labels.size())) {
    throw Error(
        ErrorKind::kModel,
        fmt::format("{}: {} labels for output '{}' of shape {}; its last size must be the "
                    "number of labels",
                    spec.path, spec.labels.size(), graph.outputs[0].name, to_string(shape)));
  }
}

}  // namespace

EngineState::EngineState(const ModelSpec& spec, const EngineOptions& chosen)
    : options(chosen),
      name(spec.name),
      graph(build_graph(spec, LayerRegistry::global())),
      inputs(describe_inputs(graph)),
      outputs(describe_outputs(graph)),
      labels(spec.labels),
      dead_layers(remove_dead_layers(graph)),
      threads(std::make_shared<ThreadPool>(chosen.device.is_cuda() ? 1 : chosen.threads)) {
  check_labels(spec, graph);
  load_weights(graph, spec);
  if (!options.fuse) return;
  const auto run = [&](const auto& pass) {
    const std::vector<std::string> fused = pass(graph);
    fused_layers.insert(fused_layers.end(), fused.begin(), fused.end());
  };
  run(fold_affine_layers);
  run(fuse_activations);
  run(fuse_residuals);
  run(fuse_activations);  // those behind a residual
  if (!options.device.is_cuda()) run(fuse_elementwise);
}

std::vector<Shape> EngineState::typical_shapes() const {
  std::vector<Shape> shapes;
  for (const GraphInput& input : graph.inputs) {
    shapes.push_back(graph.values[static_cast<size_t>(input.value)].typical.shape);
  }
  return shapes;
}

Plan EngineState::make_plan_for(const std::vector<Shape>& input_shapes) const {
  return make_plan(
      graph, input_shapes,
      {options.device, options.precision, threads->threads(), &weights, options.kernel});
}

Engine Engine::load(const std::string& model_path, const EngineOptions& options) {
  return from_spec(read_model(model_path), options);
}

Engine Engine::from_spec(const ModelSpec& spec, const EngineOptions& options) {
  check_options(options);
  return Engine(std::make_shared<const EngineState>(spec, options));
}

Engine::Engine(std::shared_ptr<const EngineState> state)
    : state_(std::move(state)), idle_(std::make_shared<IdleSessions>()) {}

const std::string& Engine::name() const { return state_->name; }
const EngineOptions& Engine::options() const { return state_->options; }
const std::vector<PortInfo>& Engine::inputs() const { return state_->inputs; }
const std::vector<PortInfo>& Engine::outputs() const { return state_->outputs; }
const std::vector<std::string>& Engine::labels() const { return state_->labels; }
const std::vector<std::string>& Engine::dead_layers() const { return state_->dead_layers; }

std::vector<Tensor> Engine::run(const std::vector<Tensor>& inputs) const {
  std::unique_lock lock(idle_->mutex);
  if (idle_->sessions.empty()) idle_->sessions.push_back(new_session());
  Session session = std::move(idle_->sessions.back());
  idle_->sessions.pop_back();
  lock.unlock();
  // A session that throws is dropped, and its memory with it.
  std::vector<Tensor> outputs = session.run(inputs);
  lock.lock();
  idle_->sessions.push_back(std::move(session));
  return outputs;
}

Session Engine::new_session() const { return Session(state_); }

}  // namespace engine
