// Elementwise operations with broadcasting: y[i] = op(op(a[i], b[i]), c[i]) ..., where each input
// is read at its own strides, 0 along dimensions that it repeats over.
//
// Threads: one group of neighbouring outputs each, grid stride. A group is 16 bytes where the
// innermost loop divides into groups and all is aligned, else one element; with one loop (equal
// shapes) the last group may be short. Inputs that stand still along the innermost loop (a value
// per channel) are read once a group. Shared memory: none.
// Bytes moved: each input and the output once (repeated inputs come from the cache): the limit.
// Requires: floating-point dtype; nothing else.
#include <type_traits>

#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/pack.h"
#include "layers/elementwise/elementwise_launch.h"
#include "layers/shape/strided_index.h"

namespace engine {
namespace {

constexpr int kThreads = 256;

struct Add {
  static __device__ __forceinline__ float apply(float a, float b) { return a + b; }
};

struct Mul {
  static __device__ __forceinline__ float apply(float a, float b) { return a * b; }
};

struct Glu {
  static __device__ __forceinline__ float apply(float a, float b) { return a / (1.0f + expf(-b)); }
};

template <typename T>
struct Inputs {
  const T* pointers[StridedSpace::kMaxArrays];
};

// The group of an input at `source`; one element, repeated, where it stands still.
template <typename T, int kWidth>
__device__ __forceinline__ void load(const T* source, int64_t inner_stride, cuda::PackRange range,
                                     float (&values)[kWidth]) {
  if (kWidth == 1 || inner_stride == 0) {
    const float value = cuda::to_float(*source);
#pragma unroll
    for (int e = 0; e < kWidth; ++e) values[e] = value;
  } else if constexpr (kWidth > 1) {
    cuda::load_pack(source, range, true, values);
  }
}

template <typename Op, typename T, int kWidth>
__global__ void elementwise_kernel(const __grid_constant__ StridedSpace space, LoopDivider divider,
                                   const __grid_constant__ Inputs<T> inputs, T* output,
                                   int64_t count, int64_t groups) {
  const int inner = space.rank - 1;
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t group = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; group < groups;
       group += stride) {
    const int64_t first = group * kWidth;
    const cuda::PackRange range(first, 0, count, kWidth);
    const LoopIndices indices = divider.split(first);
    float result[kWidth] = {};
    load(inputs.pointers[0] + element_at(space, 0, indices), space.strides[0][inner], range,
         result);
    for (int k = 1; k < space.arrays; ++k) {
      float values[kWidth] = {};
      load(inputs.pointers[k] + element_at(space, k, indices), space.strides[k][inner], range,
           values);
#pragma unroll
      for (int e = 0; e < kWidth; ++e) result[e] = Op::apply(result[e], values[e]);
    }
    if constexpr (kWidth == 1) {
      output[first] = cuda::from_float<T>(result[0]);
    } else {
      cuda::store_pack(output + first, range, true, result);
    }
  }
}

// Whether each group of `width` outputs is an aligned group of every input, or one element of it.
bool divides(const StridedSpace& space, const void* const* inputs, const void* output, int width) {
  if (!cuda::is_pack_aligned(output)) return false;
  if (space.rank > 1 && space.inner_size() % width != 0) return false;
  for (int k = 0; k < space.arrays; ++k) {
    if (space.inner_stride(k) == 0) continue;
    if (space.inner_stride(k) != 1 || !cuda::is_pack_aligned(inputs[k])) return false;
    for (int d = 0; d + 1 < space.rank; ++d) {
      if (space.strides[k][d] % width != 0) return false;
    }
  }
  return true;
}

template <typename Op, typename T, int kWidth>
void launch_elementwise(const StridedSpace& space, const void* const* inputs, void* output,
                        CudaStream stream) {
  Inputs<T> typed{};
  for (int k = 0; k < space.arrays; ++k) typed.pointers[k] = static_cast<const T*>(inputs[k]);
  const int64_t count = space.elements();
  const int64_t groups = (count + kWidth - 1) / kWidth;
  cuda::LaunchConfig config{"elementwise", cuda::grid_for(groups, kThreads)};
  config.block = kThreads;
  config.stream = stream;
  cuda::launch(elementwise_kernel<Op, T, kWidth>, config, space, LoopDivider(space), typed,
               static_cast<T*>(output), count, groups);
}

template <typename Op>
void dispatch(const StridedSpace& space, const void* const* inputs, void* output, DType dtype,
              CudaStream stream) {
  cuda::with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr int kWidth = cuda::kPackWidth<T>;
    if (divides(space, inputs, output, kWidth)) {
      launch_elementwise<Op, T, kWidth>(space, inputs, output, stream);
    } else {
      launch_elementwise<Op, T, 1>(space, inputs, output, stream);
    }
  });
}

}  // namespace

void elementwise_cuda(ElementwiseOp op, const StridedSpace& space, const void* const* inputs,
                      void* output, DType dtype, CudaStream stream) {
  switch (op) {
    case ElementwiseOp::kAdd:
      return dispatch<Add>(space, inputs, output, dtype, stream);
    case ElementwiseOp::kMul:
      return dispatch<Mul>(space, inputs, output, dtype, stream);
    case ElementwiseOp::kGlu:
      return dispatch<Glu>(space, inputs, output, dtype, stream);
  }
}

}  // namespace engine
