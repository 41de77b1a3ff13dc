// The embedding kernel's launch function.
#pragma once

#include <cstdint>

#include "engine/layer.h"

namespace engine {

/// Sizes of an embedding look-up.
struct EmbeddingProblem {
  int64_t count = 0;           ///< indices
  int64_t num_embeddings = 0;  ///< rows of the table
  int64_t embedding_dim = 0;
  DType index_dtype = DType::kI64;
};

/// Enqueues output[i] = weight[indices[i]], rows of `dtype`. A kernel cannot throw: the row of an
/// index outside [0, num_embeddings) is filled with NaN, and nothing out of bounds is read.
void embedding_cuda(const EmbeddingProblem& problem, const void* indices, const void* weight,
                    void* output, DType dtype, CudaStream stream);

}  // namespace engine
