// Mean over one or several dimensions (torch.mean).
#include <fmt/format.h>

#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "engine/layer.h"
#include "layers/mean/mean_stages.h"
#include "layers/shape/dim.h"

namespace engine {
namespace {

int64_t partial_sum_bytes(const MeanStage& stage) {
  constexpr int64_t kAlignment = 256;
  const int64_t bytes = stage.outputs() * static_cast<int64_t>(sizeof(float));
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Calls run(stage, input, output, is_first, is_last) for each stage: the first reads the layer's
// input, the last writes its output, partial sums between them lie in the workspace.
template <typename Run>
void run_stages(const std::vector<MeanStage>& stages, const StepContext& context, Run&& run) {
  const void* input = context.inputs[0];
  char* workspace = static_cast<char*>(context.workspace);
  for (size_t s = 0; s < stages.size(); ++s) {
    const bool is_last = s + 1 == stages.size();
    void* output = is_last ? context.outputs[0] : workspace;
    run(stages[s], input, output, s == 0, is_last);
    input = output;
    if (!is_last) workspace += partial_sum_bytes(stages[s]);
  }
}

class Mean : public Layer {
 public:
  explicit Mean(const Attributes& attributes) : keepdim_(attributes.boolean("keepdim", false)) {
    if (attributes.has("dim")) dims_ = attributes.integers("dim");
    if (dims_.empty()) attributes.fail("dim", "expected at least one dimension");
  }

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    if (!is_floating(inputs[0].dtype)) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected a floating-point input, found {}", to_string(inputs[0])));
    }
    const std::vector<bool> reduced = reduced_dims(inputs[0].shape);
    TensorSpec output{{}, inputs[0].dtype};
    for (size_t d = 0; d < reduced.size(); ++d) {
      if (!reduced[d]) {
        output.shape.push_back(inputs[0].shape[d]);
      } else if (keepdim_) {
        output.shape.push_back(1);
      }
    }
    return {output};
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec& input = context.inputs[0];
    const auto stages = make_mean_stages(input.shape, reduced_dims(input.shape));
    int64_t workspace = 0;
    for (size_t s = 0; s + 1 < stages.size(); ++s) workspace += partial_sum_bytes(stages[s]);
    if (context.device.is_cuda()) {
      const DType dtype = input.dtype;
      return {"mean_cuda", "", workspace, [=](const StepContext& c) {
                run_stages(stages, c,
                           [&](const MeanStage& stage, const void* from, void* to, bool is_first,
                               bool is_last) {
                             if constexpr (kWithCuda) {
                               mean_stage_cuda(stage, from, is_first ? dtype : DType::kF32, to,
                                               is_last ? dtype : DType::kF32, c.stream);
                             }
                           });
              }};
    }
    return {"mean_cpu", "", workspace, [=](const StepContext& c) {
              run_stages(stages, c,
                         [&](const MeanStage& stage, const void* from, void* to, bool, bool) {
                           mean_stage_cpu(stage, static_cast<const float*>(from),
                                          static_cast<float*>(to), *c.threads);
                         });
            }};
  }

  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>&) const override {
    return inputs[0].elements();
  }

  std::optional<Reach> reach() const override {
    for (const int64_t dim : dims_) {
      if (dim == -1 || dim == 2) return std::nullopt;  // the length of NCL
    }
    return Reach{};
  }

 private:
  std::vector<bool> reduced_dims(const Shape& shape) const {
    std::vector<bool> reduced(shape.size(), false);
    for (const int64_t dim : dims_) {
      const size_t d = resolve_dim(dim, shape);
      if (reduced[d]) {
        throw Error(ErrorKind::kInvalidArgument,
                    fmt::format("dimension {} appears twice in the dimensions to average", d));
      }
      reduced[d] = true;
    }
    return reduced;
  }

  std::vector<int64_t> dims_ = {-1};
  bool keepdim_;
};

}  // namespace

void register_mean(LayerRegistry& registry) { registry.add<Mean>("Mean"); }

}  // namespace engine
