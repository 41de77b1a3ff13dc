// One stage of a mean: y[o][s][i] = sum of x[o][r][i] over r in chunk s, divided.
//
// inner == 1, contiguous sums: a warp or a block each (segment_reduce.h).
// inner > 1: one thread a sum, neighbouring threads along i, so that a warp reads lines of
// neighbouring elements; four sums a thread are in flight. Grid stride, no shared memory.
// Both add in a fixed order, without atomics.
// Bytes moved: every element read once, which limits it; partial sums are 1/256 of that or less.
// Requires: floating-point dtypes; nothing else.
#include <type_traits>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "layers/mean/mean_stages.h"
#include "layers/reduce/segment_reduce.h"
#include "layers/reduce/statistics.h"

namespace engine {
namespace {

constexpr int kThreads = 256;

// The chunks of all rows, as segments of the input.
struct Chunks {
  MeanStage stage;
  cuda::FastDivide chunks;

  __device__ int64_t begin(int64_t s) const {
    const int64_t row = chunks.quotient(s);
    return row * stage.size + (s - row * chunks.divisor()) * stage.chunk;
  }
  __device__ int64_t end(int64_t s) const {
    return min(begin(s) + stage.chunk, (chunks.quotient(s) + 1) * stage.size);
  }
};

template <typename T>
struct StoreMean {
  T* output;
  float divisor;
  __device__ void operator()(int64_t s, const Sum<float>& state) const {
    output[s] = cuda::from_float<T>(state.sum / divisor);
  }
};

template <typename Input, typename Output>
__global__ void mean_columns_kernel(MeanStage stage, cuda::FastDivide inner,
                                    cuda::FastDivide chunks, const Input* input, Output* output,
                                    int64_t count) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    const int64_t row = inner.quotient(i);  // of the output
    const int64_t outer = chunks.quotient(row);
    const int64_t first = (row - outer * chunks.divisor()) * stage.chunk;
    const int64_t last = min(first + stage.chunk, stage.size);
    const Input* column = input + outer * stage.size * stage.inner + (i - row * stage.inner);
    float sums[4] = {};
    int64_t r = first;
    for (; r + 4 <= last; r += 4) {
#pragma unroll
      for (int u = 0; u < 4; ++u) sums[u] += cuda::to_float(column[(r + u) * stage.inner]);
    }
    for (; r < last; ++r) sums[0] += cuda::to_float(column[r * stage.inner]);
    const float sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    output[i] = cuda::from_float<Output>(sum / stage.divisor);
  }
}

template <typename Input, typename Output>
void launch_stage(const MeanStage& stage, const Input* input, Output* output, CudaStream stream) {
  const int64_t count = stage.outputs();
  const cuda::FastDivide chunks(stage.chunks());
  if (stage.inner == 1) {
    segment_reduce<Sum<float>>("mean_rows", input, Chunks{stage, chunks}, count, stage.chunk,
                               StoreMean<Output>{output, stage.divisor}, nullptr, stream);
    return;
  }
  cuda::LaunchConfig config{"mean_columns", cuda::grid_for(count, kThreads)};
  config.block = kThreads;
  config.stream = stream;
  cuda::launch(mean_columns_kernel<Input, Output>, config, stage, cuda::FastDivide(stage.inner),
               chunks, input, output, count);
}

}  // namespace

void mean_stage_cuda(const MeanStage& stage, const void* input, DType input_dtype, void* output,
                     DType output_dtype, CudaStream stream) {
  cuda::with_float_type(input_dtype, [&](auto* from) {
    cuda::with_float_type(output_dtype, [&](auto* to) {
      using Input = std::remove_pointer_t<decltype(from)>;
      using Output = std::remove_pointer_t<decltype(to)>;
      launch_stage(stage, static_cast<const Input*>(input), static_cast<Output*>(output), stream);
    });
  });
}

}  // namespace engine
