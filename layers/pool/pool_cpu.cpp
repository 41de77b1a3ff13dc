// Max and average pooling on the CPU.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "engine/round_up.h"
#include "layers/pool/neighbour_windows.h"
#include "layers/pool/pool_problem.h"
#include "layers/reduce/reduce_cpu.h"

namespace engine {
namespace {

constexpr int64_t kTile = 512;  // outputs that stay in the innermost cache from tap to tap

// Whether a row is one window, whose ends are then known: to find them takes divisions, which would
// cost more than short rows do.
bool is_global(const PoolProblem& p) { return p.adaptive && p.outputs == 1; }

struct WindowSegments {
  const PoolProblem& p;
  int64_t begin(int64_t s) const {
    return is_global(p) ? s * p.length : s / p.outputs * p.length + p.begin(s % p.outputs);
  }
  int64_t end(int64_t s) const {
    return is_global(p) ? (s + 1) * p.length : s / p.outputs * p.length + p.end(s % p.outputs);
  }
  float divisor(int64_t s) const {
    return is_global(p) ? static_cast<float>(p.length) : p.divisor(s % p.outputs);
  }
};

// Accumulates one tap into y[first, last): that of window o is x[o * stride + shift].
template <bool kAverage, typename Stride>
void accumulate_tap(const float* x, int64_t shift, float* y, int64_t first, int64_t last,
                    Stride stride) {
  for (int64_t o = first; o < last; ++o) {
    const float tap = x[o * stride + shift];
    y[o] = kAverage ? y[o] + tap : max_or_nan(y[o], tap);
  }
}

// Windows [first, last) of one row, tap by tap so that neighbouring windows are vectorised.
template <bool kAverage>
void pool_taps(const PoolProblem& p, const float* x, float* y, int64_t first, int64_t last) {
  std::fill(y + first, y + last, kAverage ? 0.0f : -std::numeric_limits<float>::infinity());
  for (int64_t tap = 0; tap < p.kernel_size; ++tap) {
    const int64_t shift = tap * p.dilation - p.padding;
    const int64_t tap_first = std::max(first, ceil_divide(-shift, p.stride));
    const int64_t tap_last = std::min(last, ceil_divide(p.length - shift, p.stride));
    const auto accumulate = [&](auto stride) {
      accumulate_tap<kAverage>(x, shift, y, tap_first, tap_last, stride);
    };
    if (p.stride == 1) {
      accumulate(std::integral_constant<int64_t, 1>{});
    } else if (p.stride == 2) {
      accumulate(std::integral_constant<int64_t, 2>{});
    } else {
      accumulate(p.stride);
    }
  }
}

// Divides the sums of windows [first, last); those that lie in the row have kernel_size taps.
void divide_sums(const PoolProblem& p, float* y, int64_t first, int64_t last) {
  const int64_t whole_first = std::clamp(ceil_divide(p.padding, p.stride), first, last);
  const int64_t room = p.length + p.padding - p.kernel_size;
  const int64_t whole_last =
      room < 0 ? whole_first : std::clamp(room / p.stride + 1, whole_first, last);
  const float taps = static_cast<float>(p.kernel_size);
  for (int64_t o = first; o < whole_first; ++o) y[o] /= p.divisor(o);
  for (int64_t o = whole_first; o < whole_last; ++o) y[o] /= taps;
  for (int64_t o = whole_last; o < last; ++o) y[o] /= p.divisor(o);
}

// Windows [first, last) of one row, one by one.
void pool_adaptive(const PoolProblem& p, const float* x, float* y, int64_t first, int64_t last) {
  for (int64_t o = first; o < last; ++o) {
    const int64_t begin = is_global(p) ? 0 : p.begin(o);
    const int64_t count = is_global(p) ? p.length : p.end(o) - begin;
    float result = x[begin];
    for (int64_t i = begin + 1; i < begin + count; ++i) {
      result = p.average ? result + x[i] : max_or_nan(result, x[i]);
    }
    y[o] = p.average ? result / static_cast<float>(count) : result;
  }
}

void pool_tile(const PoolProblem& p, const float* x, float* y, int64_t first, int64_t last) {
  if (p.adaptive) return pool_adaptive(p, x, y, first, last);
  if (!p.average) return pool_taps<false>(p, x, y, first, last);
  pool_taps<true>(p, x, y, first, last);
  divide_sums(p, y, first, last);
}

void pool_short_windows(const PoolProblem& p, const float* x, float* y, ThreadPool& threads) {
  const int64_t tiles = (p.outputs + kTile - 1) / kTile;
  const int64_t tile_taps = std::min(kTile, p.outputs) * p.longest_window();
  const int64_t grain = cpu::element_grain(p.rows * tiles, tile_taps);
  threads.parallel_for(p.rows * tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / tiles;
      const int64_t first = i % tiles * kTile;
      pool_tile(p, x + row * p.length, y + row * p.outputs, first,
                std::min(first + kTile, p.outputs));
    }
  });
}

// Whether windows lie one behind the other and all in the row.
bool are_neighbours(const PoolProblem& p) {
  return !p.adaptive && p.kernel_size == p.stride && p.dilation == 1 && p.padding == 0 &&
         p.kernel_size >= 2 && p.kernel_size <= cpu::kMostNeighbours &&
         p.outputs * p.kernel_size <= p.length;
}

void pool_neighbours(const PoolProblem& p, const float* x, float* y, ThreadPool& threads) {
  const cpu::NeighbourLoop loop = cpu::neighbour_loop(p.kernel_size, p.average);
  // Rows that nothing is left of are one.
  const bool joined = p.outputs * p.kernel_size == p.length;
  const int64_t outputs = joined ? p.windows() : p.outputs;
  const int64_t grain = cpu::element_grain(p.windows(), p.kernel_size);
  threads.parallel_for(p.windows(), grain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t row = begin / outputs;
      const int64_t count = std::min(end, (row + 1) * outputs) - begin;
      loop(x + row * p.length + (begin - row * outputs) * p.kernel_size, y + begin, count);
      begin += count;
    }
  });
}

}  // namespace

int64_t pool_workspace(const PoolProblem& p, Device device) {
  if (!p.has_long_windows()) return 0;
  // A sum is a double on the CPU; everything else is one float.
  const int64_t state = p.average && !device.is_cuda() ? sizeof(double) : sizeof(float);
  return chunk_bytes(p.windows(), p.longest_window(), state);
}

void pool_cpu(const PoolProblem& p, const float* x, float* y, void* workspace,
              ThreadPool& threads) {
  if (are_neighbours(p)) return pool_neighbours(p, x, y, threads);
  if (!p.has_long_windows()) return pool_short_windows(p, x, y, threads);
  const WindowSegments segments{p};
  if (p.average) {
    const auto finish = [&](int64_t s, const Sum<double>& state) {
      y[s] = static_cast<float>(state.sum / segments.divisor(s));
    };
    segment_reduce_cpu(x, sum_of, segments, p.windows(), p.longest_window(), finish, workspace,
                       threads);
  } else {
    const auto finish = [&](int64_t s, const Maximum& state) { y[s] = state.max; };
    segment_reduce_cpu(x, maximum_of, segments, p.windows(), p.longest_window(), finish, workspace,
                       threads);
  }
}

}  // namespace engine
