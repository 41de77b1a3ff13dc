// Concat: inputs one after another along a dimension (torch.cat).
#include <fmt/format.h>

#include "engine/error.h"
#include "engine/layer.h"
#include "layers/shape/dim.h"
#include "layers/shape/strided_copy.h"

namespace engine {
namespace {

void expect_joinable(const TensorSpec& first, const TensorSpec& other, size_t dim, size_t index) {
  Shape wanted = first.shape;
  if (dim < other.shape.size()) wanted[dim] = other.shape[dim];
  if (other.shape == wanted && other.dtype == first.dtype) return;
  throw Error(ErrorKind::kInvalidArgument,
              fmt::format("input {} is {}, which does not join {} along dimension {}; expected the "
                          "same dtype and, but for that dimension, the same sizes",
                          index, to_string(other), to_string(first), dim));
}

class Concat : public Layer {
 public:
  explicit Concat(const Attributes& attributes) : dim_(attributes.integer("dim", 1)) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    if (inputs.empty()) throw Error(ErrorKind::kInvalidArgument, "expected inputs, found none");
    TensorSpec output = inputs[0];
    const size_t dim = resolve_dim(dim_, output.shape);
    for (size_t i = 1; i < inputs.size(); ++i) {
      expect_joinable(inputs[0], inputs[i], dim, i);
      output.shape[dim] += inputs[i].shape[dim];
    }
    return {output};
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec& output = context.outputs[0];
    const size_t dim = resolve_dim(dim_, output.shape);
    const Shape output_strides = contiguous_strides(output.shape);
    std::vector<CopyFunction> copies;
    int64_t offset = 0;
    for (const TensorSpec& input : context.inputs) {
      StridedCopy copy = make_strided_copy(input.shape, output_strides,
                                           contiguous_strides(input.shape), input.dtype);
      copy.target_offset = offset * output_strides[dim];
      copies.push_back(prepare_strided_copy(context, copy));
      offset += input.shape[dim];
    }
    return {"strided_copy", "", 0, [copies](const StepContext& c) {
              for (size_t i = 0; i < copies.size(); ++i) copies[i](c, c.inputs[i], c.outputs[0]);
            }};
  }

 private:
  int64_t dim_;
};

}  // namespace

void register_concat(LayerRegistry& registry) { registry.add<Concat>("Concat"); }

}  // namespace engine
