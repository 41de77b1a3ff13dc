// Bias, activation and residual behind a matrix product:
//   target[r, c] = f2(f(source[r, c] + bias[c or r]) + residual[r, c]).
//
// Threads: a block takes 256 kPerThread neighbouring elements of one row at a time, grid stride; a
//   thread's elements are 256 apart. Shared memory: none.
// Bytes: each element and its residual read once, and written once, which is what limits it.
// Requires: nothing; rows and columns are counted in 64 bits within grid.x.
#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "layers/activation/activation_math.h"
#include "layers/conv1d/cuda/epilogue.h"
#include "layers/matrix_epilogue.h"

namespace engine {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;

template <typename Math, typename T>
__global__ void __launch_bounds__(kThreads)
    matrix_epilogue_kernel(MatrixEpilogue e, int64_t tiles, const float* source, const float* bias,
                           const T* residual, T* target) {
  const int64_t items = e.rows * tiles;
  for (int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    const int64_t row = item / tiles;
    const int64_t first = item % tiles * kThreads * kPerThread + threadIdx.x;
    const float row_bias = bias && !e.by_column ? bias[row % e.period] : 0.0f;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int64_t column = first + i * kThreads;
      if (column >= e.columns) break;
      const float start = bias && e.by_column ? bias[column] : row_bias;
      float value = Math::apply(source[row * e.source_stride + column] + start, e.activation);
      const int64_t place = row * e.target_stride + column;
      if (residual != nullptr) {
        value += cuda::to_float(residual[place]);
        value = cuda::activate(value, e.residual_activation);
      }
      target[place] = cuda::from_float<T>(value);
    }
  }
}

}  // namespace

void matrix_epilogue_cuda(const MatrixEpilogue& epilogue, const float* source, const float* bias,
                          const void* residual, void* target, DType target_dtype,
                          CudaStream stream) {
  const int64_t tiles = (epilogue.columns - 1) / (kThreads * kPerThread) + 1;
  cuda::LaunchConfig config{"matrix_epilogue", cuda::grid_for(epilogue.rows * tiles, 1)};
  config.block = kThreads;
  config.stream = stream;
  cuda::with_float_type(target_dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    with_activation_math(epilogue.activation.kind, [&](auto math) {
      cuda::launch(matrix_epilogue_kernel<decltype(math), T>, config, epilogue, tiles, source, bias,
                   static_cast<const T*>(residual), static_cast<T*>(target));
    });
  });
}

}  // namespace engine
