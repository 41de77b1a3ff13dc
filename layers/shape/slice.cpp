// Slice: x[start:end:step] along one dimension, with Python's meaning of negative and too large
// bounds, and a positive step.
#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"
#include "engine/layer.h"
#include "layers/shape/dim.h"
#include "layers/shape/strided_copy.h"

namespace engine {
namespace {

class Slice : public Layer {
 public:
  explicit Slice(const Attributes& attributes)
      : dim_(attributes.integer("dim", -1)),
        start_(attributes.integer("start", 0)),
        step_(attributes.positive("step", 1)) {
    if (attributes.has("end")) end_ = attributes.integer("end");
  }

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    TensorSpec output = inputs[0];
    int64_t& size = output.shape[resolve_dim(dim_, output.shape)];
    const int64_t begin = clamp(start_, size);
    const int64_t end = clamp(end_.value_or(size), size);
    if (end <= begin) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("the slice {}:{} of dimension {} of {} is empty", start_,
                              end_ ? std::to_string(*end_) : "", dim_, to_string(inputs[0])));
    }
    size = (end - begin - 1) / step_ + 1;
    return {output};
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec& input = context.inputs[0];
    const TensorSpec& output = context.outputs[0];
    const size_t dim = resolve_dim(dim_, input.shape);
    Shape strides = contiguous_strides(input.shape);
    const int64_t offset = clamp(start_, input.shape[dim]) * strides[dim];
    // A single element takes no step, and a step beyond the input could overflow the stride.
    if (output.shape[dim] > 1) strides[dim] *= step_;
    StridedCopy copy =
        make_strided_copy(output.shape, contiguous_strides(output.shape), strides, input.dtype);
    copy.source_offset = offset;
    const CopyFunction run = prepare_strided_copy(context, copy);
    return {"strided_copy", "", 0,
            [run](const StepContext& c) { run(c, c.inputs[0], c.outputs[0]); }};
  }

  std::optional<Reach> reach() const override {
    const bool along_length = dim_ == -1 || dim_ == 2;  // of NCL
    return Reach{1, along_length ? static_cast<double>(step_) : 1.0};
  }

 private:
  // Where a bound falls on a dimension of `size`.
  static int64_t clamp(int64_t bound, int64_t size) {
    return std::clamp(bound < 0 ? bound + size : bound, int64_t{0}, size);
  }

  int64_t dim_;
  int64_t start_;
  int64_t step_;
  std::optional<int64_t> end_;
};

}  // namespace

void register_slice(LayerRegistry& registry) { registry.add<Slice>("Slice"); }

}  // namespace engine
