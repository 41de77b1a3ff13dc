// PReLU: y = x > 0 ? x : slope[c] * x.
//
// Layouts, threads and bytes moved: layers/reduce/run_map.h; a run is a channel of one sample.
#include "layers/prelu_launch.h"
#include "layers/reduce/run_map.h"

namespace engine {
namespace {

struct PReLUMap {
  cuda::FastDivide run;
  cuda::FastDivide channels;
  const float* slopes;

  __device__ float constants(int64_t r) const { return slopes[channels.remainder(r)]; }
  __device__ float apply(float x, float slope, int64_t) const { return x > 0.0f ? x : slope * x; }
};

}  // namespace

void prelu_cuda(const PReLUProblem& p, const float* slopes, const void* x, void* y, DType dtype,
                CudaStream stream) {
  const PReLUMap map{cuda::FastDivide(p.run), cuda::FastDivide(p.channels), slopes};
  cuda::with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    run_map("prelu", map, static_cast<const T*>(x), static_cast<T*>(y), p.count, stream);
  });
}

}  // namespace engine
