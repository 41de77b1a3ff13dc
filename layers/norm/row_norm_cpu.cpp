// LayerNorm, GroupNorm and InstanceNorm on the CPU.
#include <Eigen/Core>
#include <cmath>

#include "layers/norm/row_norm_problem.h"
#include "layers/reduce/reduce_cpu.h"

namespace engine {
namespace {

using ConstArray = Eigen::Map<const Eigen::ArrayXf>;

struct RowStats {
  float mean;
  float rstd;
};

struct RowSegments {
  int64_t length;
  int64_t begin(int64_t row) const { return row * length; }
  int64_t end(int64_t row) const { return (row + 1) * length; }
};

RowStats finish(const RowNormProblem& p, const Moments<double>& moments) {
  const double variance = moments.m2 / static_cast<double>(p.length);
  return {static_cast<float>(moments.mean), static_cast<float>(1.0 / std::sqrt(variance + p.eps))};
}

// Normalises x[begin, end), which lies in one row that begins at row_begin. A bias comes with a
// weight.
void layer_norm_range(const RowNormBuffers& buffers, RowStats stats, int64_t row_begin,
                      int64_t begin, int64_t end) {
  const float* x = static_cast<const float*>(buffers.x) + row_begin;
  float* y = static_cast<float*>(buffers.y) + row_begin;
  const int64_t offset = begin - row_begin;
  const int64_t size = end - begin;
  const ConstArray source(x + offset, size);
  const auto weight = [&] { return ConstArray(buffers.weight + offset, size); };
  const auto bias = [&] { return ConstArray(buffers.bias + offset, size); };
  Eigen::Map<Eigen::ArrayXf> target(y + offset, size);
  if (buffers.bias) {
    target = (source - stats.mean) * stats.rstd * weight() + bias();
  } else if (buffers.weight) {
    target = (source - stats.mean) * stats.rstd * weight();
  } else {
    target = (source - stats.mean) * stats.rstd;
  }
}

// Normalises x[begin, end), which lies in row `row`.
void group_norm_range(const RowNormProblem& p, const RowNormBuffers& buffers, RowStats stats,
                      int64_t begin, int64_t end) {
  const float* x = static_cast<const float*>(buffers.x);
  float* y = static_cast<float*>(buffers.y);
  while (begin < end) {
    const int64_t run = begin / p.run;
    const int64_t run_end = std::min(end, (run + 1) * p.run);
    const int64_t channel = run % p.channels;
    const float scale = buffers.weight ? stats.rstd * buffers.weight[channel] : stats.rstd;
    const float shift = buffers.weight ? buffers.bias[channel] : 0.0f;
    for (int64_t i = begin; i < run_end; ++i) y[i] = (x[i] - stats.mean) * scale + shift;
    begin = run_end;
  }
}

// Normalises x[begin, end), which may span rows.
void normalise_range(const RowNormProblem& p, const RowNormBuffers& buffers, const RowStats* stats,
                     int64_t begin, int64_t end) {
  while (begin < end) {
    const int64_t row = begin / p.length;
    const int64_t row_end = std::min(end, (row + 1) * p.length);
    if (p.by_position) {
      layer_norm_range(buffers, stats[row], row * p.length, begin, row_end);
    } else {
      group_norm_range(p, buffers, stats[row], begin, row_end);
    }
    begin = row_end;
  }
}

int64_t stats_bytes(const RowNormProblem& p) {
  return p.rows * static_cast<int64_t>(sizeof(RowStats));
}

}  // namespace

int64_t row_norm_workspace(const RowNormProblem& p, Device device, DType dtype) {
  // 8 bytes of statistics a row; states are three doubles on the CPU, three floats on the GPU.
  if (!device.is_cuda()) {
    return stats_bytes(p) + chunk_bytes(p.rows, p.length, sizeof(Moments<double>));
  }
  if (row_fits_registers(p.length, dtype)) return 0;
  return stats_bytes(p) + chunk_bytes(p.rows, p.length, sizeof(Moments<float>));
}

void row_norm_cpu(const RowNormProblem& p, const RowNormBuffers& buffers, ThreadPool& threads) {
  const float* x = static_cast<const float*>(buffers.x);
  RowStats* stats = static_cast<RowStats*>(buffers.workspace);
  const bool in_cache = chunks_of(p.length) == 1;
  // A short row is normalised while it is still in the cache.
  segment_reduce_cpu(
      x, moments_of, RowSegments{p.length}, p.rows, p.length,
      [&](int64_t row, const Moments<double>& moments) {
        stats[row] = finish(p, moments);
        if (in_cache) {
          normalise_range(p, buffers, stats, row * p.length, (row + 1) * p.length);
        }
      },
      stats + p.rows, threads);
  if (in_cache) return;
  const int64_t count = p.rows * p.length;
  threads.parallel_for(count, cpu::element_grain(count), [&](int64_t begin, int64_t end) {
    normalise_range(p, buffers, stats, begin, end);
  });
}

}  // namespace engine
