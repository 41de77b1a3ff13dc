// Softmax and LogSoftmax on the CPU.
#include <Eigen/Core>
#include <cmath>

#include "layers/norm/softmax_problem.h"
#include "layers/reduce/reduce_cpu.h"

namespace engine {
namespace {

using Array = Eigen::Map<Eigen::ArrayXf>;
using ConstArray = Eigen::Map<const Eigen::ArrayXf>;

struct RowSegments {
  int64_t length;
  int64_t begin(int64_t row) const { return row * length; }
  int64_t end(int64_t row) const { return (row + 1) * length; }
};

void finish_range(bool log, const ExpSum& state, const float* x, float* y, int64_t count) {
  const ConstArray source(x, count);
  Array target(y, count);
  if (log) {
    target = (source - state.max) - std::log(state.sum);
  } else {
    target = (source - state.max).exp() / state.sum;
  }
}

// Rows: the dimension is the last one.
void softmax_rows(const SoftmaxProblem& p, const float* x, float* y, void* workspace,
                  ThreadPool& threads) {
  ExpSum* states = static_cast<ExpSum*>(workspace);
  const bool in_cache = chunks_of(p.size) == 1;
  // A short row is finished while it is still in the cache.
  segment_reduce_cpu(
      x, exp_sum_of, RowSegments{p.size}, p.outer, p.size,
      [&](int64_t row, const ExpSum& state) {
        states[row] = state;
        if (in_cache) finish_range(p.log, state, x + row * p.size, y + row * p.size, p.size);
      },
      states + p.outer, threads);
  if (in_cache) return;
  threads.parallel_for(p.elements(), cpu::element_grain(p.elements()),
                       [&](int64_t begin, int64_t end) {
                         while (begin < end) {
                           const int64_t row = begin / p.size;
                           const int64_t row_end = std::min(end, (row + 1) * p.size);
                           finish_range(p.log, states[row], x + begin, y + begin, row_end - begin);
                           begin = row_end;
                         }
                       });
}

constexpr int kTile = 256;  // columns that are worked on at a time, vectorised across

// `count` neighbouring columns, their elements p.inner apart.
void softmax_columns(const SoftmaxProblem& p, const float* x, float* y, int64_t count) {
  using Tile = Eigen::Array<float, Eigen::Dynamic, 1, 0, kTile, 1>;
  const auto source = [&](int64_t i) { return ConstArray(x + i * p.inner, count); };
  const auto target = [&](int64_t i) { return Array(y + i * p.inner, count); };
  Tile max = source(0);
  for (int64_t i = 1; i < p.size; ++i) {
    const float* row = x + i * p.inner;
    for (int64_t c = 0; c < count; ++c) max[c] = max_or_nan(max[c], row[c]);
  }
  Tile sum = Tile::Zero(count);
  for (int64_t i = 0; i < p.size; ++i) {
    if (p.log) {
      sum += (source(i) - max).exp();
    } else {
      target(i) = (source(i) - max).exp();
      sum += target(i);
    }
  }
  const Tile log_sum = sum.unaryExpr([](float value) { return std::log(value); });
  for (int64_t i = 0; i < p.size; ++i) {
    if (p.log) {
      target(i) = (source(i) - max) - log_sum;
    } else {
      target(i) /= sum;
    }
  }
}

}  // namespace

void softmax_cpu(const SoftmaxProblem& p, const float* x, float* y, void* workspace,
                 ThreadPool& threads) {
  if (p.inner == 1) return softmax_rows(p, x, y, workspace, threads);
  const int64_t tiles = (p.inner + kTile - 1) / kTile;
  const int64_t grain =
      cpu::element_grain(p.outer * tiles, p.size * std::min<int64_t>(p.inner, kTile));
  threads.parallel_for(p.outer * tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % tiles * kTile;
      const int64_t first = i / tiles * p.size * p.inner + column;
      softmax_columns(p, x + first, y + first, std::min<int64_t>(kTile, p.inner - column));
    }
  });
}

}  // namespace engine
