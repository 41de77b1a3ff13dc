// Softmax: y = exp(x - max) / sum(exp(x - max)) along one dimension of [outer, size, inner];
// LogSoftmax: y = x - max - log(sum(exp(x - max))).
//
// inner = 1: rows; layouts, threads and bytes moved are those of layers/reduce/row_map.h.
// inner > 1: columns; see softmax_columns_kernel.
#include "layers/norm/softmax_problem.h"
#include "layers/reduce/row_map.h"
#include "layers/reduce/statistics.h"

namespace engine {
namespace {

template <bool kLog>
__device__ __forceinline__ float softmax_of(float x, const ExpSum& state) {
  return kLog ? (x - state.max) - logf(state.sum) : expf(x - state.max) / state.sum;
}

template <bool kLog>
struct SoftmaxMap {
  using State = ExpSum;
  using Stats = ExpSum;
  cuda::FastDivide run;
  cuda::FastDivide runs_per_row;

  __device__ Stats finish(const State& state) const { return state; }
  __device__ Stats constants(int64_t, const Stats& stats) const { return stats; }
  __device__ float apply(float x, const Stats& stats, int64_t) const {
    return softmax_of<kLog>(x, stats);
  }
};

/// Sizes of the columns kernel.
struct Columns {
  int64_t size;
  int64_t inner;
  int64_t chunk;
  int width;  ///< columns of a tile: a power of two, at most 32
  cuda::FastDivide tiles;
  cuda::FastDivide chunks;
};

/// Threads: a block takes one tile of columns, width x (256 / width) threads; neighbours read
/// neighbouring columns of the same index, so that a warp reads whole sectors. The threads of a
/// column merge their states through shared memory (2 KB).
/// Columns of one chunk are finished at once: 2 reads, the second out of the cache, and 1 write.
/// Of longer ones the state of each chunk goes to `states`, [outer * inner, chunks].
/// Requires: nothing. Limited by memory bandwidth.
template <typename T, bool kLog>
__global__ void __launch_bounds__(cuda::kTeamBlock)
    softmax_columns_kernel(Columns p, const T* x, T* y, ExpSum* states, int64_t items) {
  __shared__ ExpSum shared[cuda::kTeamBlock];
  const int lane = threadIdx.x % p.width;
  const int64_t rank = threadIdx.x / p.width;
  const int64_t ranks = cuda::kTeamBlock / p.width;
  for (int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    const int64_t tile = p.chunks.quotient(item);
    const int64_t chunk = item - tile * p.chunks.divisor();
    const int64_t outer = p.tiles.quotient(tile);
    const int64_t column = (tile - outer * p.tiles.divisor()) * p.width + lane;
    const int64_t begin = chunk * p.chunk + rank;
    const int64_t end = column < p.inner ? min(p.size, (chunk + 1) * p.chunk) : 0;
    const int64_t base = outer * p.size * p.inner + column;

    ExpSum state = ExpSum::identity();
#pragma unroll 4
    for (int64_t i = begin; i < end; i += ranks) {
      const float value[1] = {cuda::to_float(x[base + i * p.inner])};
      state = ExpSum::merge(state, ExpSum::of(value, 0, 1));
    }
    shared[threadIdx.x] = state;
    __syncthreads();
    for (int half = cuda::kTeamBlock / 2; half >= p.width; half /= 2) {
      if (threadIdx.x < half) {
        shared[threadIdx.x] = ExpSum::merge(shared[threadIdx.x], shared[threadIdx.x + half]);
      }
      __syncthreads();
    }
    state = shared[lane];
    __syncthreads();  // the next item writes the same memory

    if (p.chunks.divisor() > 1) {
      if (rank == 0 && column < p.inner) {
        states[(outer * p.inner + column) * p.chunks.divisor() + chunk] = state;
      }
      continue;
    }
    for (int64_t i = begin; i < end; i += ranks) {
      T& target = y[base + i * p.inner];
      target = cuda::from_float<T>(softmax_of<kLog>(cuda::to_float(x[base + i * p.inner]), state));
    }
  }
}

/// Finishes columns whose states are known, as a map whose every element is a run.
template <bool kLog>
struct ColumnsMap {
  cuda::FastDivide run;        ///< by 1
  cuda::FastDivide per_outer;  ///< by size * inner
  cuda::FastDivide inner;
  const ExpSum* states;  ///< [outer * inner]

  __device__ ExpSum constants(int64_t i) const {
    return states[per_outer.quotient(i) * inner.divisor() + inner.remainder(i)];
  }
  __device__ float apply(float value, const ExpSum& state, int64_t) const {
    return softmax_of<kLog>(value, state);
  }
};

template <typename T, bool kLog>
void softmax_columns(const SoftmaxProblem& p, const T* x, T* y, void* workspace,
                     cudaStream_t stream) {
  const ColumnTiles tiles = column_tiles(p);
  ExpSum* states = static_cast<ExpSum*>(workspace);
  ExpSum* chunk_states = states + p.columns();
  const Columns columns{p.size,
                        p.inner,
                        tiles.chunk,
                        static_cast<int>(tiles.width),
                        cuda::FastDivide(tiles.tiles),
                        cuda::FastDivide(tiles.chunks)};
  const int64_t items = p.outer * tiles.tiles * tiles.chunks;
  cuda::LaunchConfig config{"softmax_columns", cuda::grid_for(items, 1)};
  config.block = cuda::kTeamBlock;
  config.stream = stream;
  cuda::launch(softmax_columns_kernel<T, kLog>, config, columns, x, y, chunk_states, items);
  if (tiles.chunks == 1) return;
  config.grid_x = cuda::grid_for(p.columns(), 1);
  cuda::launch(merge_chunks_kernel<ExpSum, StoreState<ExpSum>>, config, chunk_states, p.columns(),
               tiles.chunks, StoreState<ExpSum>{states});
  const ColumnsMap<kLog> map{cuda::FastDivide(1), cuda::FastDivide(p.size * p.inner),
                             cuda::FastDivide(p.inner), states};
  run_map("softmax_columns", map, x, y, p.elements(), stream);
}

template <typename T, bool kLog>
void softmax(const SoftmaxProblem& p, const T* x, T* y, void* workspace, cudaStream_t stream) {
  if (p.inner > 1) return softmax_columns<T, kLog>(p, x, y, workspace, stream);
  const SoftmaxMap<kLog> map{cuda::FastDivide(p.size), cuda::FastDivide(1)};
  row_map("softmax", map, x, y, p.outer, p.size, workspace, stream);
}

}  // namespace

void softmax_cuda(const SoftmaxProblem& p, const void* x, void* y, void* workspace, DType dtype,
                  CudaStream stream) {
  cuda::with_float_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* source = static_cast<const T*>(x);
    T* target = static_cast<T*>(y);
    if (p.log) {
      softmax<T, true>(p, source, target, workspace, stream);
    } else {
      softmax<T, false>(p, source, target, workspace, stream);
    }
  });
}

}  // namespace engine
