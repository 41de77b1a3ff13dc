// The Layer interface and the registry of layer types: all that a new layer needs.
//
// A layer lives through three calls. infer() states the shape rule. prepare() is called once per
// input shape, device and precision, and returns the Step that a plan keeps: everything that can
// be decided or packed beforehand is decided there. The Step's enqueue then only computes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/activation.h"
#include "engine/attributes.h"
#include "engine/device.h"
#include "engine/precision.h"
#include "engine/tensor.h"

struct CUstream_st;

namespace engine {

/// The CUDA runtime's cudaStream_t, named without its header.
using CudaStream = CUstream_st*;

class ThreadPool;   // engine/cpu/thread_pool.h
class WeightCache;  // engine/plan/weight_cache.h

/// How `engine init` draws a parameter that has not been trained.
struct Init {
  enum class Kind { kUniform, kNormal, kConstant };
  Kind kind = Kind::kConstant;
  double value = 0.0;  ///< bound of the uniform, standard deviation of the normal, or the constant

  static Init uniform(double bound) { return {Kind::kUniform, bound}; }
  static Init normal(double deviation) { return {Kind::kNormal, deviation}; }
  static Init constant(double value) { return {Kind::kConstant, value}; }
};

/// A tensor that a layer finds in the weight file under "<layer name>.<name>".
struct ParameterSpec {
  std::string name;  ///< as in a PyTorch state_dict: "weight", "running_mean"
  Shape shape;
  Init init;
};

/// Which positions of the first input one output position sees along the length: `extent` of them,
/// moving on by `step` from one output to the next (below 1 where a layer upsamples). Further
/// inputs are seen position by position.
struct Reach {
  int64_t extent = 1;
  double step = 1.0;
};

/// y = scale[c] * x + shift[c] for each channel c (dimension 1 of NCL).
struct ChannelAffine {
  std::vector<double> scale;
  std::vector<double> shift;
};

/// What a Step's inputs on a GPU begin at multiples of, in bytes: its widest loads and TMA ask for
/// no more.
inline constexpr int64_t kInputAlignment = 16;

/// What a Step works on. Pointers are in the address space of the device that it was prepared for;
/// shapes are those of prepare(). Inputs on a GPU begin at multiples of kInputAlignment; those on
/// the CPU, and outputs, may begin at any element, as a caller's memory does.
struct StepContext {
  const void* const* inputs = nullptr;
  void* const* outputs = nullptr;
  void* workspace = nullptr;  ///< Step::workspace_bytes of scratch, 256-byte aligned
  CudaStream stream = nullptr;
  ThreadPool* threads = nullptr;  ///< CPU only

  template <typename T>
  const T* input(int index = 0) const {
    return static_cast<const T*>(inputs[index]);
  }
  template <typename T>
  T* output(int index = 0) const {
    return static_cast<T*>(outputs[index]);
  }
};

/// A layer made ready for fixed shapes on one device: what a plan executes.
struct Step {
  std::string kernel;  ///< op + algorithm + architecture, as tables show it
  std::string reason;  ///< why that kernel; empty where there is only one
  int64_t workspace_bytes = 0;
  /// Computes on the CPU, or enqueues work on the stream; allocates nothing and does not wait.
  /// May be called from many threads at once, each with its own context.
  std::function<void(const StepContext&)> enqueue;
  /// The input whose memory the first output may take, or -1: the step reads an element of it
  /// before it writes that of the output, and never after.
  int overwrites = -1;
  /// Of elementwise layers on the CPU: computes elements [begin, end) of the output alone, as
  /// enqueue does for all of them. Without a workspace.
  std::function<void(const StepContext&, int64_t begin, int64_t end)> range;
  double seconds = 0.0;  ///< that one thread takes for the whole output, where `range` is set
};

/// What prepare() knows: concrete shapes in storage dtypes, the device, the arithmetic.
struct PrepareContext {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  Device device;
  Precision precision = Precision::kFp32;
  int threads = 1;  ///< of the ThreadPool that a CPU step will be given
  const class Layer* layer = nullptr;
  WeightCache* weights = nullptr;
  std::string kernel;  ///< to take where it can compute the layer; empty: the layer chooses

  /// A tensor derived from the layer's parameters, on `device`. `make` builds it on the CPU; it
  /// runs once per engine and key, whatever the number of shapes.
  Tensor weight(const std::string& key, const std::function<Tensor()>& make) const;
  /// The parameter itself, on `device` in `dtype`.
  Tensor parameter(const std::string& name, DType dtype = DType::kF32) const;
};

/// One layer of a model: its attributes and its weights. Immutable once the model is loaded, so
/// every const member may be called from many threads.
class Layer {
 public:
  virtual ~Layer() = default;

  /// The shape rule: specs of the outputs. Throws Error(kInvalidArgument) for inputs that the layer
  /// cannot take; the caller adds the layer's name and place.
  virtual std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const = 0;

  /// The tensors this layer needs for inputs of these shapes, in PyTorch's names.
  virtual std::vector<ParameterSpec> parameters(const std::vector<TensorSpec>& inputs) const;

  /// Chooses and readies a kernel.
  virtual Step prepare(const PrepareContext& context) const = 0;

  /// Floating-point operations of one run, a multiply-add counted as two. 0 for data movement.
  virtual int64_t flops(const std::vector<TensorSpec>& inputs,
                        const std::vector<TensorSpec>& outputs) const;

  /// How far along the length an output sees; nothing where it sees the whole signal.
  virtual std::optional<Reach> reach() const { return Reach{}; }

  /// True where the output is the input's memory under another shape, so that nothing runs.
  virtual bool is_view() const { return false; }

  /// Set where the layer is a per-channel affine map that the layer before it may absorb.
  virtual std::optional<ChannelAffine> as_channel_affine() const { return std::nullopt; }
  /// This layer followed by `affine` on its output as one layer, or null where that is not exact.
  virtual std::unique_ptr<Layer> with_affine(const ChannelAffine& affine,
                                             const TensorSpec& output) const;

  /// Set where the layer is a pointwise function that the layer before it may apply.
  virtual std::optional<Activation> as_activation() const { return std::nullopt; }
  /// This layer followed by `activation` as one layer, or null where it cannot.
  virtual std::unique_ptr<Layer> with_activation(const Activation& activation) const;

  /// True where an output element depends on no other element than its own of inputs that have the
  /// output's shape. On the CPU such a layer's Step has `range` (engine/cpu/elementwise_step.h).
  virtual bool is_elementwise() const { return false; }

  /// True where the output is the sum of the inputs, which broadcast to its shape.
  virtual bool is_sum() const { return false; }
  /// This layer with one more input, shaped as its output and added to it, or null where it cannot.
  virtual std::unique_ptr<Layer> with_residual() const;

  /// The loaded weights: f32 on the CPU, shaped as parameters() asked. Set once by the loader.
  void set_parameters(std::map<std::string, Tensor> parameters);
  /// Throws Error(kInvalidArgument) where the layer has none of that name.
  const Tensor& parameter(const std::string& name) const;
  const std::map<std::string, Tensor>& loaded_parameters() const { return parameters_; }

 private:
  std::map<std::string, Tensor> parameters_;
};

/// Throws Error(kInvalidArgument) unless there are exactly `count` inputs.
void expect_inputs(const std::vector<TensorSpec>& inputs, size_t count);
/// Throws Error(kInvalidArgument) unless `spec` has `rank` dimensions; `layout` is e.g. "NCL".
void expect_rank(const TensorSpec& spec, size_t rank, const char* layout);
/// Throws Error(kInvalidArgument) for a spec of integers.
void expect_floating_point(const TensorSpec& spec);

/// Builds a layer from its attributes; throws what the Attributes getters throw.
using LayerFactory = std::function<std::unique_ptr<Layer>(const Attributes&)>;

/// The known layer types by name. Filled before models load; not thread-safe while being filled.
class LayerRegistry {
 public:
  /// The registry that Engine::load uses, with all built-in layers.
  static LayerRegistry& global();

  /// Throws Error(kInvalidArgument) where the type is taken.
  void add(const std::string& type, LayerFactory factory);
  /// For a class with a constructor that takes Attributes.
  template <typename T>
  void add(const std::string& type) {
    add(type, [](const Attributes& attributes) -> std::unique_ptr<Layer> {
      return std::make_unique<T>(attributes);
    });
  }
  bool contains(const std::string& type) const { return factories_.count(type) > 0; }
  /// Throws Error(kModel) for a type that nobody added.
  std::unique_ptr<Layer> create(const std::string& type, const Attributes& attributes) const;
  std::vector<std::string> types() const;

 private:
  std::map<std::string, LayerFactory> factories_;
};

/// Adds every layer of this library; defined by layers/builtin_layers.cpp, the one visible list.
void register_builtin_layers(LayerRegistry& registry);

}  // namespace engine
