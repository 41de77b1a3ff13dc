// Linear, as torch.nn.Linear: y = x W^T + bias over the last dimension.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/cuda/blas.h"
#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "engine/layer.h"
#include "layers/fold_affine.h"
#include "layers/linear/linear_cpu.h"
#include "layers/matrix_epilogue.h"

namespace engine {
namespace {

/// x [..., in_features] -> y [..., out_features].
/// Attributes: out_features (required), in_features (checked where given), bias.
/// Parameters: weight [out_features, in_features], bias [out_features].
class Linear : public Layer {
 public:
  explicit Linear(const Attributes& attributes)
      : out_features_(attributes.positive("out_features")),
        in_features_(attributes.optional_positive("in_features")),
        bias_(attributes.boolean("bias", true)) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    const TensorSpec& input = inputs[0];
    if (input.shape.empty() || !is_floating(input.dtype) || input.elements() == 0) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected a floating-point input of at least one dimension that is "
                              "not empty, found {}",
                              to_string(input)));
    }
    if (in_features_ && input.shape.back() != *in_features_) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected a last dimension of {} (in_features), found {}",
                              *in_features_, to_string(input.shape)));
    }
    TensorSpec output = input;
    output.shape.back() = out_features_;
    return {output};
  }

  std::vector<ParameterSpec> parameters(const std::vector<TensorSpec>& inputs) const override {
    const int64_t features = inputs[0].shape.back();
    // torch's default: kaiming_uniform with a = sqrt(5), which is this bound, for both.
    const Init init = Init::uniform(1.0 / std::sqrt(static_cast<double>(features)));
    std::vector<ParameterSpec> specs{{"weight", {out_features_, features}, init}};
    if (bias_) specs.push_back({"bias", {out_features_}, init});
    return specs;
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec& input = context.inputs[0];
    const int64_t features = input.shape.back();
    const LinearProblem p{input.elements() / features, features, out_features_, activation_};
    if (context.device.is_cuda()) return prepare_cuda(p, context);
    const Tensor weight = context.weight("weight in blocks of outputs",
                                         [&] { return pack_linear_weight(parameter("weight")); });
    const Tensor bias = bias_ ? context.parameter("bias") : Tensor();
    return {"linear_cpu", "", 0, [=](const StepContext& c) {
              linear_cpu(p, c.input<float>(), weight.data<float>(),
                         bias.defined() ? bias.data<float>() : nullptr, c.output<float>(),
                         *c.threads);
            }};
  }

  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>& outputs) const override {
    return 2 * outputs[0].elements() * inputs[0].shape.back();
  }

  std::unique_ptr<Layer> with_affine(const ChannelAffine& affine,
                                     const TensorSpec& output) const override {
    if (activation_.kind != Activation::Kind::kIdentity) return nullptr;
    // Channels are dimension 1, which is this layer's output only where there are two.
    if (output.shape.size() != 2 || !fits_affine(affine, out_features_)) return nullptr;
    auto folded = std::make_unique<Linear>(*this);
    folded->bias_ = true;
    const int64_t features = parameter("weight").size(1);
    folded->set_parameters(
        fold_affine(loaded_parameters(), affine, features, [](int64_t row) { return row; }));
    return folded;
  }

  std::unique_ptr<Layer> with_activation(const Activation& activation) const override {
    if (activation_.kind != Activation::Kind::kIdentity) return nullptr;
    auto fused = std::make_unique<Linear>(*this);
    fused->activation_ = activation;
    return fused;
  }

 private:
  Step prepare_cuda(const LinearProblem& p, const PrepareContext& context) const;

  int64_t out_features_;
  std::optional<int64_t> in_features_;
  bool bias_;
  Activation activation_;  // fused behind the product
};

// y = x W^T by cuBLAS: m = rows, n = outputs, k = inputs. 16-bit results that get a bias or an
// activation stay in f32 until then, so many rows at a time, and are rounded once.
struct LinearCuda {
  LinearProblem problem;
  Device device;
  DType dtype;
  bool tf32;
  Tensor weight;
  Tensor bias;
  bool finish;   // a bias or an activation follows
  bool staged;   // results stay in f32 until they are finished
  int64_t rows;  // of a piece

  void run(const StepContext& c) const {
    const LinearProblem& p = problem;
    const auto element = static_cast<int64_t>(size_of(dtype));
    auto* results = static_cast<char*>(c.workspace) + cuda::kGemmWorkspaceBytes;
    for (int64_t row = 0; row < p.rows; row += rows) {
      const int64_t count = std::min(rows, p.rows - row);
      char* target = static_cast<char*>(c.outputs[0]) + row * p.outputs * element;
      char* product = staged ? results : target;
      cuda::Gemm gemm;
      gemm.m = count;
      gemm.n = p.outputs;
      gemm.k = gemm.a_stride = gemm.b_stride = p.inputs;
      gemm.c_stride = p.outputs;
      gemm.b_transposed = true;
      gemm.dtype = dtype;
      gemm.c_dtype = staged ? DType::kF32 : dtype;
      gemm.tf32 = tf32;
      const char* x = static_cast<const char*>(c.inputs[0]) + row * p.inputs * element;
      cuda::gemm(gemm, device, x, weight.raw(), product, c.workspace, c.stream);
      if (!finish) continue;
      matrix_epilogue_cuda({count, p.outputs, p.outputs, p.outputs, true, 1, p.activation, {}},
                           reinterpret_cast<const float*>(product),
                           static_cast<const float*>(bias.raw()), nullptr, target, dtype, c.stream);
    }
  }
};

Step Linear::prepare_cuda(const LinearProblem& p, const PrepareContext& context) const {
  constexpr int64_t kStagedBytes = int64_t{32} << 20;
  Step step;
  step.kernel = "linear_cublas";
  if constexpr (kWithCuda) {
    cuda::prepare_gemm(context.device);
    const DType dtype = context.inputs[0].dtype;
    const bool finish = bias_ || activation_.kind != Activation::Kind::kIdentity;
    const bool staged = finish && dtype != DType::kF32;
    const int64_t row_bytes = p.outputs * static_cast<int64_t>(sizeof(float));
    const int64_t rows = staged ? std::clamp(kStagedBytes / row_bytes, int64_t{1}, p.rows) : p.rows;
    const LinearCuda linear{p,
                            context.device,
                            dtype,
                            context.precision == Precision::kTf32,
                            cuda::gemm_parameter(context, "weight"),
                            bias_ ? context.parameter("bias") : Tensor(),
                            finish,
                            staged,
                            rows};
    step.workspace_bytes = cuda::kGemmWorkspaceBytes + (staged ? rows * row_bytes : 0);
    step.enqueue = [linear](const StepContext& c) { linear.run(c); };
  }
  return step;
}

}  // namespace

void register_linear(LayerRegistry& registry) { registry.add<Linear>("Linear"); }

}  // namespace engine
