// Add and Mul of two or more inputs with numpy's broadcasting, and GLU.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/cpu/elementwise_step.h"
#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "engine/layer.h"
#include "layers/elementwise/elementwise_launch.h"
#include "layers/shape/dim.h"

namespace engine {
namespace {

using Pointers = std::array<const void*, StridedSpace::kMaxArrays>;

Step make_step(const PrepareContext& context, ElementwiseOp op, const StridedSpace& space,
               const std::function<Pointers(const StepContext&)>& inputs) {
  if (context.device.is_cuda()) {
    const DType dtype = context.outputs[0].dtype;
    return {"elementwise_cuda", "", 0, [=](const StepContext& c) {
              if constexpr (kWithCuda) {
                elementwise_cuda(op, space, inputs(c).data(), c.outputs[0], dtype, c.stream);
              }
            }};
  }
  // The first or second input, but not the halves of GLU's.
  int overwrites = -1;
  for (int k = 1; k >= 0; --k) {
    const auto index = static_cast<size_t>(k);
    if (index < context.inputs.size() && context.inputs[index].shape == context.outputs[0].shape) {
      overwrites = k;
    }
  }
  const int64_t count = space.elements();
  return cpu::elementwise_step(
      "elementwise_cpu", count, static_cast<double>(count) * cpu::kElementSeconds, overwrites,
      [=](const StepContext& c, int64_t begin, int64_t end) {
        const Pointers pointers = inputs(c);
        std::array<const float*, StridedSpace::kMaxArrays> floats;
        std::transform(pointers.begin(), pointers.end(), floats.begin(),
                       [](const void* p) { return static_cast<const float*>(p); });
        elementwise_cpu(op, space, floats.data(), c.output<float>(), begin, end);
      });
}

// The shape that both broadcast to: sizes are matched from the last one, and a 1 stretches.
Shape broadcast(const Shape& a, const Shape& b) {
  Shape result = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  const size_t lead = result.size() - shorter.size();
  for (size_t d = 0; d < shorter.size(); ++d) {
    int64_t& size = result[lead + d];
    if (size == 1) size = shorter[d];
    if (shorter[d] == 1 || shorter[d] == size) continue;
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("inputs {} and {} do not broadcast: sizes matched from the last one "
                            "must be equal or 1",
                            to_string(a), to_string(b)));
  }
  return result;
}

// The strides at which an input of `shape` is read over `output`: 0 where it repeats.
Shape broadcast_strides(const Shape& shape, const Shape& output) {
  const Shape own = contiguous_strides(shape);
  const size_t lead = output.size() - shape.size();
  Shape strides(output.size(), 0);
  for (size_t d = 0; d < shape.size(); ++d) strides[lead + d] = shape[d] == 1 ? 0 : own[d];
  return strides;
}

StridedSpace broadcast_space(const std::vector<TensorSpec>& inputs, const Shape& output) {
  std::vector<Shape> strides;
  for (const TensorSpec& input : inputs) strides.push_back(broadcast_strides(input.shape, output));
  return make_strided_space(output, strides);
}

class BroadcastLayer : public Layer {
 public:
  explicit BroadcastLayer(ElementwiseOp op) : op_(op) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    if (inputs.size() < 2 || inputs.size() > StridedSpace::kMaxArrays) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected 2 to {} inputs, found {}", StridedSpace::kMaxArrays,
                              inputs.size()));
    }
    expect_floating_point(inputs[0]);
    TensorSpec output = inputs[0];
    for (const TensorSpec& input : inputs) {
      if (input.dtype != output.dtype) {
        throw Error(ErrorKind::kInvalidArgument,
                    fmt::format("expected inputs of one dtype, found {} and {}",
                                to_string(output.dtype), to_string(input.dtype)));
      }
      output.shape = broadcast(output.shape, input.shape);
    }
    broadcast_space(inputs, output.shape);  // throws where there are too many dimensions
    return {output};
  }

  Step prepare(const PrepareContext& context) const override {
    const size_t count = context.inputs.size();
    return make_step(context, op_, broadcast_space(context.inputs, context.outputs[0].shape),
                     [count](const StepContext& c) {
                       Pointers pointers{};
                       std::copy_n(c.inputs, count, pointers.begin());
                       return pointers;
                     });
  }

  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>& outputs) const override {
    return outputs[0].elements() * static_cast<int64_t>(inputs.size() - 1);
  }

  bool is_elementwise() const override { return true; }

  bool is_sum() const override { return op_ == ElementwiseOp::kAdd; }

 private:
  ElementwiseOp op_;
};

/// a * sigmoid(b), where a and b are the halves of the input along `dim` (torch.nn.GLU).
class Glu : public Layer {
 public:
  explicit Glu(const Attributes& attributes) : dim_(attributes.integer("dim", -1)) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    expect_floating_point(inputs[0]);
    TensorSpec output = inputs[0];
    int64_t& size = output.shape[resolve_dim(dim_, output.shape)];
    if (size % 2 != 0) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected an even size of dimension {} to halve, found {}", dim_,
                              to_string(inputs[0])));
    }
    size /= 2;
    return {output};
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec& output = context.outputs[0];
    const size_t dim = resolve_dim(dim_, output.shape);
    const int64_t outer = product(output.shape, 0, dim);
    const int64_t half = product(output.shape, dim, output.shape.size());
    const Shape strides = {2 * half, 1};
    const int64_t half_bytes = half * static_cast<int64_t>(size_of(output.dtype));
    return make_step(context, ElementwiseOp::kGlu,
                     make_strided_space({outer, half}, {strides, strides}),
                     [half_bytes](const StepContext& c) {
                       return Pointers{c.inputs[0], c.input<char>() + half_bytes};
                     });
  }

  bool is_elementwise() const override { return true; }

  std::optional<Reach> reach() const override {
    const bool halves_length = dim_ == -1 || dim_ == 2;  // of NCL
    return halves_length ? std::nullopt : std::optional(Reach{});
  }

 private:
  int64_t dim_;
};

}  // namespace

void register_elementwise(LayerRegistry& registry) {
  registry.add("Add", [](const Attributes&) -> std::unique_ptr<Layer> {
    return std::make_unique<BroadcastLayer>(ElementwiseOp::kAdd);
  });
  registry.add("Mul", [](const Attributes&) -> std::unique_ptr<Layer> {
    return std::make_unique<BroadcastLayer>(ElementwiseOp::kMul);
  });
  registry.add<Glu>("GLU");
}

}  // namespace engine
