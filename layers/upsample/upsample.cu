// Upsampling along the last dimension: y[row][t] = x[row][i], or between two neighbours
// (1 - s) * x[row][i] + s * x[row][i + 1], where i + s = max(0, t * step + offset) / denominator.
//
// Threads: one output element each, grid stride. Shared memory: none.
// Bytes moved: the output written once, the input read once (its repeated reads hit the L1 cache):
// the limit.
// Requires: floating-point dtype; output_length * step below 2^63.
#include <type_traits>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "layers/upsample/upsample_launch.h"

namespace engine {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void upsample_kernel(UpsampleProblem problem, cuda::FastDivide output_length,
                                cuda::FastDivide denominator, const T* input, T* output,
                                int64_t count) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    const int64_t row = output_length.quotient(i);
    const int64_t t = i - row * problem.output_length;
    const int64_t numerator = max(t * problem.step + problem.offset, int64_t{0});
    const int64_t left = denominator.quotient(numerator);
    const T* source = input + row * problem.length;
    if (!problem.linear) {
      output[i] = source[left];
      continue;
    }
    const int64_t right = min(left + 1, problem.length - 1);
    const float share = static_cast<float>(numerator - left * problem.denominator) /
                        static_cast<float>(problem.denominator);
    output[i] = cuda::from_float<T>((1.0f - share) * cuda::to_float(source[left]) +
                                    share * cuda::to_float(source[right]));
  }
}

}  // namespace

void upsample_cuda(const UpsampleProblem& problem, const void* input, void* output, DType dtype,
                   CudaStream stream) {
  const int64_t count = problem.rows * problem.output_length;
  cuda::LaunchConfig config{"upsample", cuda::grid_for(count, kThreads)};
  config.block = kThreads;
  config.stream = stream;
  cuda::with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    cuda::launch(upsample_kernel<T>, config, problem, cuda::FastDivide(problem.output_length),
                 cuda::FastDivide(problem.denominator), static_cast<const T*>(input),
                 static_cast<T*>(output), count);
  });
}

}  // namespace engine
