// Embedding: rows of a table looked up by index (torch.nn.Embedding).
#include <fmt/format.h>

#include <algorithm>

#include "engine/cpu/share_work.h"
#include "engine/cpu/thread_pool.h"
#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "engine/layer.h"
#include "layers/embedding/embedding_launch.h"

namespace engine {
namespace {

template <typename Index>
void embedding_cpu(const EmbeddingProblem& problem, const Index* indices, const float* weight,
                   float* output, ThreadPool& threads) {
  const int64_t dim = problem.embedding_dim;
  const int64_t grain = cpu::element_grain(problem.count, dim);
  threads.parallel_for(problem.count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = indices[i];
      if (row < 0 || row >= problem.num_embeddings) {
        throw Error(ErrorKind::kInvalidArgument,
                    fmt::format("index {} at position {} is outside the {} embeddings", row, i,
                                problem.num_embeddings));
      }
      std::copy_n(weight + row * dim, dim, output + i * dim);
    }
  });
}

/// Indices of any shape give [..., embedding_dim]. An index outside the table is an error on the
/// CPU; on the GPU, where a kernel cannot throw, its row becomes NaN.
class Embedding : public Layer {
 public:
  explicit Embedding(const Attributes& attributes)
      : num_embeddings_(attributes.positive("num_embeddings")),
        embedding_dim_(attributes.positive("embedding_dim")) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    if (is_floating(inputs[0].dtype)) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected i32 or i64 indices, found {}", to_string(inputs[0])));
    }
    TensorSpec output{inputs[0].shape, DType::kF32};
    output.shape.push_back(embedding_dim_);
    return {output};
  }

  std::vector<ParameterSpec> parameters(const std::vector<TensorSpec>&) const override {
    return {{"weight", {num_embeddings_, embedding_dim_}, Init::normal(1.0)}};
  }

  Step prepare(const PrepareContext& context) const override {
    const TensorSpec& indices = context.inputs[0];
    const DType dtype = context.outputs[0].dtype;
    const EmbeddingProblem problem{indices.elements(), num_embeddings_, embedding_dim_,
                                   indices.dtype};
    const Tensor weight = context.parameter("weight", dtype);
    if (context.device.is_cuda()) {
      return {"embedding_cuda", "", 0, [=](const StepContext& c) {
                if constexpr (kWithCuda) {
                  embedding_cuda(problem, c.inputs[0], weight.raw(), c.outputs[0], dtype, c.stream);
                }
              }};
    }
    return {"embedding_cpu", "", 0, [=](const StepContext& c) {
              const float* table = weight.data<float>();
              if (problem.index_dtype == DType::kI32) {
                embedding_cpu(problem, c.input<int32_t>(), table, c.output<float>(), *c.threads);
              } else {
                embedding_cpu(problem, c.input<int64_t>(), table, c.output<float>(), *c.threads);
              }
            }};
  }

 private:
  int64_t num_embeddings_;
  int64_t embedding_dim_;
};

}  // namespace

void register_embedding(LayerRegistry& registry) { registry.add<Embedding>("Embedding"); }

}  // namespace engine
