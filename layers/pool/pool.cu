// Max and average pooling over the last dimension; the windows are those of pool_problem.h.
//
// Short or dilated windows: one thread each, see pool_windows_kernel. Long ones are segments that a
// warp, a block or many blocks reduce (layers/reduce/segment_reduce.h), so that pooling a whole
// signal into one value is not the work of one multiprocessor.
#include "layers/pool/pool_problem.h"
#include "layers/reduce/segment_reduce.h"
#include "layers/reduce/statistics.h"

namespace engine {
namespace {

/// Windows as segments of the flat input: segment s is window s % outputs of row s / outputs.
struct Windows {
  PoolProblem p;
  cuda::FastDivide outputs;

  __device__ int64_t begin(int64_t s) const {
    const int64_t row = outputs.quotient(s);
    return row * p.length + p.begin(s - row * p.outputs);
  }
  __device__ int64_t end(int64_t s) const {
    const int64_t row = outputs.quotient(s);
    return row * p.length + p.end(s - row * p.outputs);
  }
};

template <typename T>
struct StoreMean {
  Windows windows;
  T* y;
  __device__ void operator()(int64_t s, const Sum<float>& state) const {
    const float divisor = windows.p.divisor(windows.outputs.remainder(s));
    y[s] = cuda::from_float<T>(state.sum / divisor);
  }
};

template <typename T>
struct StoreMaximum {
  T* y;
  __device__ void operator()(int64_t s, const Maximum& state) const {
    y[s] = cuda::from_float<T>(state.max);
  }
};

/// Threads: one window each, grid stride; neighbours take neighbouring windows, whose taps share
/// cache lines. Shared memory: none.
/// Bytes moved: the input once, as far as windows lie side by side, and the output once.
/// Requires: nothing.
template <typename State, typename T, typename Finish>
__global__ void __launch_bounds__(256)
    pool_windows_kernel(Windows windows, const T* x, int64_t count, Finish finish) {
  const PoolProblem& p = windows.p;
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  for (int64_t s = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; s < count; s += stride) {
    const int64_t row = windows.outputs.quotient(s);
    const int64_t o = s - row * p.outputs;
    const int64_t end = p.end(o);
    State state = State::identity();
    for (int64_t i = p.begin(o); i < end; i += p.dilation) {
      const float value[1] = {cuda::to_float(x[row * p.length + i])};
      state = State::merge(state, State::of(value, 0, 1));
    }
    finish(s, state);
  }
}

template <typename State, typename T, typename Finish>
void pool(const char* name, const Windows& windows, const T* x, Finish finish, void* workspace,
          cudaStream_t stream) {
  const PoolProblem& p = windows.p;
  if (p.has_long_windows()) {
    return segment_reduce<State>(name, x, windows, p.windows(), p.longest_window(), finish,
                                 workspace, stream);
  }
  cuda::LaunchConfig config{name, cuda::grid_for(p.windows(), 256)};
  config.stream = stream;
  cuda::launch(pool_windows_kernel<State, T, Finish>, config, windows, x, p.windows(), finish);
}

}  // namespace

void pool_cuda(const PoolProblem& p, const void* x, void* y, void* workspace, DType dtype,
               CudaStream stream) {
  const Windows windows{p, cuda::FastDivide(p.outputs)};
  cuda::with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* source = static_cast<const T*>(x);
    T* target = static_cast<T*>(y);
    if (p.average) {
      pool<Sum<float>>("avg_pool", windows, source, StoreMean<T>{windows, target}, workspace,
                       stream);
    } else {
      pool<Maximum>("max_pool", windows, source, StoreMaximum<T>{target}, workspace, stream);
    }
  });
}

}  // namespace engine
