// LayerNorm, GroupNorm and InstanceNorm: y = (x - mean) * rstd * weight + bias, where mean and
// rstd = 1 / sqrt(variance + eps) are those of the element's row.
//
// Layouts, threads and bytes moved: layers/reduce/row_map.h. The mean is subtracted before the
// scale is applied, so that a mean far from zero costs no accuracy.
#include "layers/norm/row_norm_problem.h"
#include "layers/reduce/row_map.h"
#include "layers/reduce/statistics.h"

namespace engine {
namespace {

/// What both maps share: the statistics.
struct NormMap {
  using State = Moments<float>;
  struct Stats {
    float mean;
    float rstd;
  };

  cuda::FastDivide run;
  cuda::FastDivide runs_per_row;
  const float* weight;
  const float* bias;
  float eps;

  __device__ Stats finish(const State& state) const {
    return {state.mean, 1.0f / sqrtf(state.m2 / state.count + eps)};
  }
};

/// GroupNorm and InstanceNorm: a run is one channel of one sample.
struct GroupNormMap : NormMap {
  struct Constants {
    float mean;
    float scale;
    float shift;
  };
  cuda::FastDivide channels;

  __device__ Constants constants(int64_t r, const Stats& stats) const {
    if (weight == nullptr) return {stats.mean, stats.rstd, 0.0f};
    const int64_t channel = channels.remainder(r);
    return {stats.mean, stats.rstd * weight[channel], bias[channel]};
  }
  __device__ float apply(float x, const Constants& c, int64_t) const {
    return (x - c.mean) * c.scale + c.shift;
  }
};

/// LayerNorm: a run is a row, and the weights go by the position in it.
struct LayerNormMap : NormMap {
  __device__ Stats constants(int64_t, const Stats& stats) const { return stats; }
  __device__ float apply(float x, const Stats& stats, int64_t offset) const {
    const float normal = (x - stats.mean) * stats.rstd;
    const float scaled = weight ? normal * weight[offset] : normal;
    return bias ? scaled + bias[offset] : scaled;
  }

  /// Whether a pack's weights may be loaded four at a time.
  __device__ bool can_apply_pack(int width, int64_t offset) const {
    return offset % 4 == 0 && offset + width <= run.divisor();
  }
  template <int kWidth>
  __device__ void apply_pack(float (&x)[kWidth], const Stats& stats, int64_t offset) const {
    float w[kWidth], b[kWidth];
#pragma unroll
    for (int i = 0; i < kWidth; i += 4) {
      load_four(weight, offset + i, 1.0f, w + i);
      load_four(bias, offset + i, 0.0f, b + i);
    }
#pragma unroll
    for (int i = 0; i < kWidth; ++i) x[i] = (x[i] - stats.mean) * stats.rstd * w[i] + b[i];
  }
  static __device__ void load_four(const float* source, int64_t offset, float absent,
                                   float* target) {
    const float4 four = source ? *reinterpret_cast<const float4*>(source + offset)
                               : make_float4(absent, absent, absent, absent);
    target[0] = four.x;
    target[1] = four.y;
    target[2] = four.z;
    target[3] = four.w;
  }
};

}  // namespace

void row_norm_cuda(const RowNormProblem& p, const RowNormBuffers& buffers, DType dtype,
                   CudaStream stream) {
  const int64_t run = p.by_position ? p.length : p.run;
  const NormMap shared{cuda::FastDivide(run), cuda::FastDivide(p.length / run), buffers.weight,
                       buffers.bias, static_cast<float>(p.eps)};
  cuda::with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* x = static_cast<const T*>(buffers.x);
    T* y = static_cast<T*>(buffers.y);
    if (p.by_position) {
      row_map("layer_norm", LayerNormMap{shared}, x, y, p.rows, p.length, buffers.workspace,
              stream);
    } else {
      row_map("group_norm", GroupNormMap{shared, cuda::FastDivide(p.channels)}, x, y, p.rows,
              p.length, buffers.workspace, stream);
    }
  });
}

}  // namespace engine
