// How a mean over any dimensions is cut into sums that run one after another.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/layer.h"
#include "layers/reduce/reduce_plan.h"

namespace engine {

/// One pass over a tensor seen as [outer, size, inner]: sums of `chunk` neighbours along `size`
/// give [outer, chunks(), inner]. Long sums take several stages, so that they spread over a whole
/// device and lose little to rounding, with the same result whatever runs them.
struct MeanStage {
  int64_t outer = 1;
  int64_t size = 1;
  int64_t inner = 1;
  int64_t chunk = 1;
  float divisor = 1.0f;  ///< of every sum: the element count in the last stage, else 1

  int64_t chunks() const { return (size + chunk - 1) / chunk; }
  int64_t outputs() const { return outer * chunks() * inner; }
};

/// Most elements that one sum of a stage takes along contiguous memory, and across it.
inline constexpr int64_t kMeanRowChunk = kChunk;
inline constexpr int64_t kMeanColumnChunk = 256;

/// The stages of the mean over the dimensions marked in `reduced`. Never empty.
std::vector<MeanStage> make_mean_stages(const Shape& shape, const std::vector<bool>& reduced);

/// One stage on the CPU.
void mean_stage_cpu(const MeanStage& stage, const float* input, float* output, ThreadPool& threads);

/// One stage on the GPU, between floating-point dtypes; sums in f32.
void mean_stage_cuda(const MeanStage& stage, const void* input, DType input_dtype, void* output,
                     DType output_dtype, CudaStream stream);

}  // namespace engine
