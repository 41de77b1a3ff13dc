#include "layers/reduce/reduce_cpu.h"

#include <Eigen/Core>

#include "layers/reduce/fold_values.h"

namespace engine {
namespace {

using ConstArray = Eigen::Map<const Eigen::ArrayXf>;

// Elements summed in float before the sum goes on in double: few enough to round little.
constexpr int64_t kBlock = 1024;

}  // namespace

Moments<double> moments_of(const float* x, int64_t count) {
  Moments<double> moments = Moments<double>::identity();
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t size = std::min(kBlock, count - begin);
    const ConstArray block(x + begin, size);
    const double n = static_cast<double>(size);
    const float centre = block.mean();
    // The rounding of `centre` leaves the distances a mean of their own, which is taken out again.
    const double rest = (block - centre).sum();
    const double squares = (block - centre).square().sum();
    moments = Moments<double>::merge(moments, {n, centre + rest / n, squares - rest * rest / n});
  }
  return moments;
}

ExpSum exp_sum_of(const float* x, int64_t count) {
  const ConstArray values(x, count);
  const float max = cpu::maximum_of_values(x, count);
  if (max == ExpSum::identity().max) return ExpSum::identity();
  return {max, (values - max).exp().sum()};
}

Sum<double> sum_of(const float* x, int64_t count) {
  double sum = 0.0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    sum += cpu::sum_of_values(x + begin, std::min(kBlock, count - begin));
  }
  return {sum};
}

Maximum maximum_of(const float* x, int64_t count) { return {cpu::maximum_of_values(x, count)}; }

}  // namespace engine
