#include <Eigen/Core>
#include <algorithm>

#include "engine/cpu/thread_pool.h"
#include "layers/mean/mean_stages.h"
#include "layers/reduce/reduce_cpu.h"

namespace engine {
namespace {

constexpr int64_t kColumnBlock = 4096;  // sums that stay in the L1 cache while rows are added

// Sums along contiguous memory.
void sum_rows(const MeanStage& stage, const float* input, float* output, int64_t begin,
              int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t first = i % stage.chunks() * stage.chunk;
    const int64_t count = std::min(stage.chunk, stage.size - first);
    const float* row = input + i / stage.chunks() * stage.size + first;
    output[i] = static_cast<float>(sum_of(row, count).sum / stage.divisor);
  }
}

// Sums across rows of `inner` elements: whole rows are added, as far as they lie in [begin, end).
void sum_columns(const MeanStage& stage, const float* input, float* output, int64_t begin,
                 int64_t end) {
  while (begin < end) {
    const int64_t row = begin / stage.inner;  // of the output
    const int64_t column = begin % stage.inner;
    const int64_t width = std::min({end - begin, stage.inner - column, kColumnBlock});
    const int64_t first = row % stage.chunks() * stage.chunk;
    const int64_t last = std::min(first + stage.chunk, stage.size);
    const float* source = input + row / stage.chunks() * stage.size * stage.inner + column;
    Eigen::Map<Eigen::ArrayXf> sums(output + begin, width);
    sums.setZero();
    for (int64_t r = first; r < last; ++r) {
      sums += Eigen::Map<const Eigen::ArrayXf>(source + r * stage.inner, width);
    }
    sums /= stage.divisor;
    begin += width;
  }
}

}  // namespace

void mean_stage_cpu(const MeanStage& stage, const float* input, float* output,
                    ThreadPool& threads) {
  const int64_t grain = cpu::element_grain(stage.outputs(), stage.chunk);
  threads.parallel_for(stage.outputs(), grain, [&](int64_t begin, int64_t end) {
    if (stage.inner == 1) {
      sum_rows(stage, input, output, begin, end);
    } else {
      sum_columns(stage, input, output, begin, end);
    }
  });
}

}  // namespace engine
