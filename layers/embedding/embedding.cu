// Embedding: y[i][d] = weight[index[i]][d]; NaN where the index is outside the table.
//
// Threads: one group of neighbouring elements of a row each, grid stride: 16 bytes where rows
// divide into them and all is aligned, else one element. Shared memory: none.
// Bytes moved: the output written once and as much read from the table, which is what limits it.
// Requires: floating-point table; i32 or i64 indices.
#include <type_traits>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/pack.h"
#include "layers/embedding/embedding_launch.h"

namespace engine {
namespace {

constexpr int kThreads = 256;

// Unit is T, or a Pack of T's.
template <typename T, typename Unit, typename Index>
__global__ void embedding_kernel(const Index* indices, const Unit* weight, Unit* output,
                                 int64_t num_embeddings, cuda::FastDivide row_units,
                                 int64_t count) {
  constexpr int kWidth = sizeof(Unit) / sizeof(T);
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    const int64_t position = row_units.quotient(i);
    const int64_t unit = i - position * row_units.divisor();
    const int64_t row = indices[position];
    if (row >= 0 && row < num_embeddings) {
      output[i] = weight[row * row_units.divisor() + unit];
    } else {
      T* elements = reinterpret_cast<T*>(output + i);
#pragma unroll
      for (int e = 0; e < kWidth; ++e) elements[e] = cuda::from_float<T>(nanf(""));
    }
  }
}

template <typename T, typename Unit, typename Index>
void launch_embedding(const EmbeddingProblem& problem, const void* indices, const void* weight,
                      void* output, CudaStream stream) {
  constexpr int64_t kWidth = sizeof(Unit) / sizeof(T);
  const int64_t row_units = problem.embedding_dim / kWidth;
  const int64_t count = problem.count * row_units;
  cuda::LaunchConfig config{"embedding", cuda::grid_for(count, kThreads)};
  config.block = kThreads;
  config.stream = stream;
  cuda::launch(embedding_kernel<T, Unit, Index>, config, static_cast<const Index*>(indices),
               static_cast<const Unit*>(weight), static_cast<Unit*>(output), problem.num_embeddings,
               cuda::FastDivide(row_units), count);
}

template <typename T, typename Unit>
void launch_by_index(const EmbeddingProblem& problem, const void* indices, const void* weight,
                     void* output, CudaStream stream) {
  if (problem.index_dtype == DType::kI32) {
    launch_embedding<T, Unit, int32_t>(problem, indices, weight, output, stream);
  } else {
    launch_embedding<T, Unit, int64_t>(problem, indices, weight, output, stream);
  }
}

}  // namespace

void embedding_cuda(const EmbeddingProblem& problem, const void* indices, const void* weight,
                    void* output, DType dtype, CudaStream stream) {
  cuda::with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const bool packs = problem.embedding_dim % cuda::kPackWidth<T> == 0 &&
                       cuda::is_pack_aligned(weight) && cuda::is_pack_aligned(output);
    if (packs) {
      launch_by_index<T, cuda::Pack<T>>(problem, indices, weight, output, stream);
    } else {
      launch_by_index<T, T>(problem, indices, weight, output, stream);
    }
  });
}

}  // namespace engine
