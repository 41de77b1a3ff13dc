// Batch norm with known statistics: y = (x - mean[c]) * scale[c] + shift[c], NCL or NC.
//
// Layouts, threads and bytes moved: layers/reduce/run_map.h; a run is a channel of one sample. The
// mean is subtracted first, so that a mean far from zero costs no accuracy.
#include "layers/norm/batch_norm_launch.h"
#include "layers/reduce/run_map.h"

namespace engine {
namespace {

struct BatchNormMap {
  struct Constants {
    float mean;
    float scale;
    float shift;
  };
  cuda::FastDivide run;
  cuda::FastDivide channels;
  const float* mean;
  const float* scale;
  const float* shift;

  __device__ Constants constants(int64_t r) const {
    const int64_t channel = channels.remainder(r);
    return {mean[channel], scale[channel], shift[channel]};
  }
  __device__ float apply(float x, const Constants& c, int64_t) const {
    return (x - c.mean) * c.scale + c.shift;
  }
};

}  // namespace

void channel_norm_cuda(const ChannelNorm& norm, const void* x, void* y, DType dtype,
                       CudaStream stream) {
  const BatchNormMap map{cuda::FastDivide(norm.run), cuda::FastDivide(norm.channels), norm.mean,
                         norm.scale, norm.shift};
  cuda::with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    run_map("batch_norm", map, static_cast<const T*>(x), static_cast<T*>(y), norm.count, stream);
  });
}

}  // namespace engine
