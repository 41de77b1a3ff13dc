// Softmax and LogSoftmax along any dimension.
#include <fmt/format.h>

#include <algorithm>

#include "engine/cuda/runtime.h"
#include "engine/error.h"
#include "layers/norm/norm_layers.h"
#include "layers/norm/softmax_problem.h"
#include "layers/reduce/reduce_plan.h"
#include "layers/reduce/statistics.h"

namespace engine {
namespace {

class Softmax : public Layer {
 public:
  Softmax(const Attributes& attributes, bool log)
      : dim_(attributes.integer("dim", -1)), log_(log) {}

  std::vector<TensorSpec> infer(const std::vector<TensorSpec>& inputs) const override {
    expect_inputs(inputs, 1);
    expect_floating_point(inputs[0]);
    const int64_t rank = static_cast<int64_t>(inputs[0].shape.size());
    if (dim_ < -rank || dim_ >= rank) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("expected a dim from {} to {} for an input of {} dimensions {}, "
                              "found {}",
                              -rank, rank - 1, rank, to_string(inputs[0].shape), dim_));
    }
    return inputs;
  }

  Step prepare(const PrepareContext& context) const override {
    const DType dtype = context.inputs[0].dtype;
    const SoftmaxProblem p = problem(context.inputs[0].shape);
    const int64_t workspace = softmax_workspace(p, context.device, dtype);
    const std::string name = log_ ? "log_softmax" : "softmax";
    if (context.device.is_cuda()) {
      return {name + (p.inner == 1 ? "_rows_cuda" : "_columns_cuda"), "", workspace,
              [=](const StepContext& c) {
                if constexpr (kWithCuda) {
                  softmax_cuda(p, c.inputs[0], c.outputs[0], c.workspace, dtype, c.stream);
                }
              }};
    }
    return {name + "_cpu", "", workspace, [=](const StepContext& c) {
              softmax_cpu(p, c.input<float>(), c.output<float>(), c.workspace, *c.threads);
            }};
  }

  /// Maximum, subtraction, exponential, sum, division.
  int64_t flops(const std::vector<TensorSpec>& inputs,
                const std::vector<TensorSpec>&) const override {
    return 5 * inputs[0].elements();
  }

  /// The length of NCL is dimension 2; before it, dim counts batch and channels.
  std::optional<Reach> reach() const override {
    const bool along_length = dim_ == -1 || dim_ >= 2;
    return along_length ? std::nullopt : std::optional<Reach>(Reach{});
  }

 private:
  SoftmaxProblem problem(const Shape& shape) const {
    const size_t dim =
        static_cast<size_t>(dim_ < 0 ? dim_ + static_cast<int64_t>(shape.size()) : dim_);
    SoftmaxProblem p;
    for (size_t d = 0; d < dim; ++d) p.outer *= shape[d];
    p.size = shape[dim];
    for (size_t d = dim + 1; d < shape.size(); ++d) p.inner *= shape[d];
    p.log = log_;
    return p;
  }

  int64_t dim_;
  bool log_;
};

}  // namespace

ColumnTiles column_tiles(const SoftmaxProblem& p) {
  ColumnTiles tiles{};
  tiles.width = 1;
  while (tiles.width < 32 && tiles.width < p.inner) tiles.width *= 2;
  tiles.tiles = (p.inner + tiles.width - 1) / tiles.width;
  // Columns that one block can take in a reasonable time are not cut, so that they are finished by
  // the block that reduced them.
  constexpr int64_t kUncut = 4 * kChunk;
  tiles.chunk = p.size * tiles.width <= kUncut ? p.size : kChunk / tiles.width;
  tiles.chunks = (p.size + tiles.chunk - 1) / tiles.chunk;
  return tiles;
}

int64_t softmax_workspace(const SoftmaxProblem& p, Device device, DType dtype) {
  const int64_t state = sizeof(ExpSum);
  // Long rows: the states of the rows, then those of their chunks.
  const int64_t rows = p.columns() * state + chunk_bytes(p.columns(), p.size, state);
  if (!device.is_cuda()) return p.inner == 1 ? rows : 0;
  if (p.inner == 1) return row_fits_registers(p.size, dtype) ? 0 : rows;
  const int64_t chunks = column_tiles(p).chunks;
  return chunks == 1 ? 0 : p.columns() * (1 + chunks) * state;
}

std::unique_ptr<Layer> make_softmax(const Attributes& attributes) {
  return std::make_unique<Softmax>(attributes, false);
}

std::unique_ptr<Layer> make_log_softmax(const Attributes& attributes) {
  return std::make_unique<Softmax>(attributes, true);
}

}  // namespace engine
