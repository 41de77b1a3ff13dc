// Padding of the last dimension: y[row][i] = x[row][padded_source(i - left)], or a constant.
//
// Threads: one output element each, grid stride. Shared memory: none.
// Bytes moved: each element read once (twice near the ends) and written once, which limits it.
// Requires: elements of 2, 4 or 8 bytes; padding within padded_source's limits.
#include <cstring>
#include <type_traits>

#include "engine/cuda/fast_divide.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/raw_type.h"
#include "layers/pad1d/pad1d_launch.h"

namespace engine {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void pad1d_kernel(PadProblem problem, cuda::FastDivide output_length, T value,
                             const T* input, T* output, int64_t count) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    const int64_t row = output_length.quotient(i);
    const int64_t position = i - row * problem.output_length - problem.left;
    const int64_t index = padded_source(position, problem.length, problem.mode);
    output[i] = index < 0 ? value : input[row * problem.length + index];
  }
}

}  // namespace

void pad1d_cuda(const PadProblem& problem, const void* input, void* output, CudaStream stream) {
  const int64_t count = problem.rows * problem.output_length;
  cuda::LaunchConfig config{"pad1d", cuda::grid_for(count, kThreads)};
  config.block = kThreads;
  config.stream = stream;
  cuda::with_raw_type(problem.element_bytes, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    T value{};
    std::memcpy(&value, &problem.value_bits,
                sizeof(T) < sizeof(uint64_t) ? sizeof(T) : sizeof(uint64_t));
    cuda::launch(pad1d_kernel<T>, config, problem, cuda::FastDivide(problem.output_length), value,
                 static_cast<const T*>(input), static_cast<T*>(output), count);
  });
}

}  // namespace engine
