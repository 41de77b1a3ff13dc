// Conversion between element types: target[i] = T(source[i]).
//
// Threads: one element each, grid stride. Limited by reading and writing each element once.
#include <type_traits>

#include "engine/cuda/half_math.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/runtime.h"

namespace engine::cuda {
namespace {

template <typename Source, typename Target>
__global__ void convert_kernel(const Source* source, Target* target, int64_t count) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    target[i] = from_float<Target>(to_float(source[i]));
  }
}

__global__ void widen_kernel(const int32_t* source, int64_t* target, int64_t count) {
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    target[i] = source[i];
  }
}

}  // namespace

void convert(const void* source, DType source_dtype, void* target, DType target_dtype,
             int64_t count, CudaStream stream) {
  LaunchConfig config{"convert", grid_for(count, 256)};
  config.stream = stream;
  if (source_dtype == DType::kI32 && target_dtype == DType::kI64) {
    launch(widen_kernel, config, static_cast<const int32_t*>(source), static_cast<int64_t*>(target),
           count);
    return;
  }
  with_float_type(source_dtype, [&](auto* from) {
    with_float_type(target_dtype, [&](auto* to) {
      using Source = std::remove_pointer_t<decltype(from)>;
      using Target = std::remove_pointer_t<decltype(to)>;
      launch(convert_kernel<Source, Target>, config, static_cast<const Source*>(source),
             static_cast<Target*>(target), count);
    });
  });
}

}  // namespace engine::cuda
