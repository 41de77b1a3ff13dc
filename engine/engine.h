// Engine: a model loaded from its YAML and weight file, ready to run. What most programs include.
//
//   engine::Engine engine = engine::Engine::load("graphs/keywords.yaml");
//   engine::Tensor audio = engine::Tensor::wrap(samples.data(), {1, 1, 16000});
//   engine::Tensor scores = engine.run({audio}).front();
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/device.h"
#include "engine/error.h"
#include "engine/layer.h"
#include "engine/precision.h"
#include "engine/session.h"
#include "engine/tensor.h"

namespace engine {

struct EngineState;
struct ModelSpec;

/// How a model is to run. Fixed at load.
struct EngineOptions {
  Device device = Device::automatic();
  Precision precision = Precision::kFp32;  ///< the CPU computes in fp32 only
  /// CPU threads, those that call included; 0 takes the hardware's count. Engines of a process that
  /// name the same number share them.
  int threads = 0;
  /// Fold batch norms, fuse activations and sums into the layer before, join elementwise layers.
  bool fuse = true;
  bool check_finite = false;  ///< fail a run whose output holds a NaN or an infinity
  /// For experiments: the kernel that layers with a table of them (Conv1d) take where it can
  /// compute them; empty leaves the choice to the layer.
  std::string kernel = {};
};

/// An input or output as the model declares it.
struct PortInfo {
  std::string name;
  DType dtype = DType::kF32;
  /// Sizes as text: "64", or a name such as "batch" that may differ from run to run. For outputs,
  /// the shape at the typical sizes.
  std::vector<std::string> shape;
  std::optional<double> sample_rate;  ///< Hz, where the model declares it
};

/// A loaded model. Immutable and cheap to copy (copies share everything); every member may be
/// called from many threads at once.
class Engine {
 public:
  /// Loads a model file and the weights it names. Throws Error: kIo, kModel, kWeights, kUnsupported
  /// (no such GPU, a precision that the device lacks), kOutOfMemory.
  static Engine load(const std::string& model_path, const EngineOptions& options = {});
  /// The same from a model that has been read already. A model without weight file gets random
  /// weights drawn from seed 0, as `engine init` would.
  static Engine from_spec(const ModelSpec& spec, const EngineOptions& options = {});

  const std::string& name() const;
  const EngineOptions& options() const;
  const std::vector<PortInfo>& inputs() const;
  const std::vector<PortInfo>& outputs() const;
  /// Class names of the (last dimension of the first) output; may be empty.
  const std::vector<std::string>& labels() const;
  /// Layers that no output needs, and which therefore never run.
  const std::vector<std::string>& dead_layers() const;

  /// Runs the model once: inputs in declared order, CPU or GPU tensors of the declared dtype and
  /// shape. Outputs in declared order, on the CPU where all inputs are there, else on the engine's
  /// device; they are complete when this returns. Throws Error(kInvalidArgument) for inputs that
  /// do not fit, kOutOfMemory, kDevice; after any of these the engine can be used on.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs) const;

  /// Execution state of its own, for a thread that runs often.
  Session new_session() const;

  /// Internals, for tools that print or measure.
  const std::shared_ptr<const EngineState>& state() const { return state_; }

 private:
  struct IdleSessions;
  explicit Engine(std::shared_ptr<const EngineState> state);

  std::shared_ptr<const EngineState> state_;
  std::shared_ptr<IdleSessions> idle_;
};

}  // namespace engine
