// Transpose: two dimensions exchanged (torch.transpose); NCL to NLC by default.
#include <utility>

#include "engine/layer.h"
#include "layers/shape/dim.h"
#include "layers/shape/strided_copy.h"

namespace engine {
namespace {

class Transpose : public Layer {
 public:
  explicit Transpose(const Attributes& attributes)
      : dim0_(attributes.integer("dim0", 1)), dim1_(attributes.integer("dim1", 2)) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    TensorSpec output = inputs[0];
    swap_dims(&output.shape);
    return {output};
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec& output = context.outputs[0];
    Shape source_strides = contiguous_strides(context.inputs[0].shape);
    swap_dims(&source_strides);
    const StridedCopy copy = make_strided_copy(output.shape, contiguous_strides(output.shape),
                                               source_strides, output.dtype);
    const CopyFunction run = prepare_strided_copy(context, copy);
    return {tiled_source_loop(copy.space) ? "strided_copy_tiled" : "strided_copy", "", 0,
            [run](const StepContext& c) { run(c, c.inputs[0], c.outputs[0]); }};
  }

 private:
  void swap_dims(Shape* shape) const {
    std::swap((*shape)[resolve_dim(dim0_, *shape)], (*shape)[resolve_dim(dim1_, *shape)]);
  }

  int64_t dim0_;
  int64_t dim1_;
};

}  // namespace

void register_transpose(LayerRegistry& registry) { registry.add<Transpose>("Transpose"); }

}  // namespace engine
