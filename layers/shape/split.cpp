// Split: consecutive pieces of a dimension, each an output (torch.split).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/error.h"
#include "engine/layer.h"
#include "layers/shape/dim.h"
#include "layers/shape/strided_copy.h"

namespace engine {
namespace {

class Split : public Layer {
 public:
  explicit Split(const Attributes& attributes) : dim_(attributes.integer("dim", 1)) {
    if (attributes.has("sizes") == attributes.has("parts")) {
      attributes.fail(attributes.has("sizes") ? "parts" : "sizes",
                      "expected either `sizes`, a list, or `parts`, a number of equal pieces");
    }
    if (attributes.has("parts")) {
      parts_ = attributes.positive("parts");
      return;
    }
    sizes_ = attributes.integers("sizes");
    for (const int64_t size : sizes_) {
      if (size < 1) attributes.fail("sizes", fmt::format("expected sizes >= 1, found {}", size));
    }
  }

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    const size_t dim = resolve_dim(dim_, inputs[0].shape);
    std::vector<TensorSpec> outputs;
    for (const int64_t size : pieces(inputs[0].shape[dim], dim)) {
      outputs.push_back(inputs[0]);
      outputs.back().shape[dim] = size;
    }
    return outputs;
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec& input = context.inputs[0];
    const size_t dim = resolve_dim(dim_, input.shape);
    const Shape input_strides = contiguous_strides(input.shape);
    std::vector<CopyFunction> copies;
    int64_t offset = 0;
    for (const TensorSpec& output : context.outputs) {
      StridedCopy copy = make_strided_copy(output.shape, contiguous_strides(output.shape),
                                           input_strides, input.dtype);
      copy.source_offset = offset * input_strides[dim];
      copies.push_back(prepare_strided_copy(context, copy));
      offset += output.shape[dim];
    }
    return {"strided_copy", "", 0, [copies](const StepContext& c) {
              for (size_t i = 0; i < copies.size(); ++i) copies[i](c, c.inputs[0], c.outputs[i]);
            }};
  }

 private:
  std::vector<int64_t> pieces(int64_t size, size_t dim) const {
    if (parts_ > 0) {
      if (size % parts_ == 0)
        return std::vector<int64_t>(static_cast<size_t>(parts_), size / parts_);
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("dimension {} of size {} does not divide into {} equal parts; give "
                              "`sizes` instead",
                              dim, size, parts_));
    }
    int64_t rest = size;
    for (const int64_t piece : sizes_) rest = piece <= rest ? rest - piece : -1;
    if (rest == 0) return sizes_;
    throw Error(ErrorKind::kInvalidArgument,
                fmt::format("sizes [{}] do not sum to {}, the size of dimension {}",
                            fmt::join(sizes_, ", "), size, dim));
  }

  int64_t dim_;
  int64_t parts_ = 0;  // 0 where sizes_ says
  std::vector<int64_t> sizes_;
};

}  // namespace

void register_split(LayerRegistry& registry) { registry.add<Split>("Split"); }

}  // namespace engine
