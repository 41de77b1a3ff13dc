#include <Eigen/Core>

#include "engine/cpu/thread_pool.h"
#include "layers/elementwise/elementwise_launch.h"

namespace engine {
namespace {

constexpr int64_t kGrain = 16384;  // elements a thread should have before it is worth waking

using Eigen::ArrayXf;
using Input = Eigen::Map<const ArrayXf>;
using StridedInput = Eigen::Map<const ArrayXf, 0, Eigen::InnerStride<>>;
using Output = Eigen::Map<ArrayXf>;

struct Add {
  template <typename A, typename B>
  static auto apply(const A& a, const B& b) {
    return a + b;
  }
};

struct Mul {
  template <typename A, typename B>
  static auto apply(const A& a, const B& b) {
    return a * b;
  }
};

struct Glu {
  template <typename A, typename B>
  static auto apply(const A& a, const B& b) {
    return a / (1.0f + (-b).exp());
  }
};

// output[i] = op(a[i * a_step], b[i * b_step]).
template <typename Op>
void apply_run(const float* a, int64_t a_step, const float* b, int64_t b_step, float* output,
               int64_t count) {
  Output result(output, count);
  if (a_step == 1 && b_step == 1) {
    result = Op::apply(Input(a, count), Input(b, count));
  } else if (a_step == 1 && b_step == 0) {
    result = Op::apply(Input(a, count), ArrayXf::Constant(count, *b));
  } else if (a_step == 0 && b_step == 1) {
    result = Op::apply(ArrayXf::Constant(count, *a), Input(b, count));
  } else {
    result = Op::apply(StridedInput(a, count, Eigen::InnerStride<>(a_step)),
                       StridedInput(b, count, Eigen::InnerStride<>(b_step)));
  }
}

template <typename Op>
void apply_all(const StridedSpace& space, const float* const* inputs, float* output,
               ThreadPool& threads) {
  threads.parallel_for(space.elements(), kGrain, [&](int64_t begin, int64_t end) {
    float* to = output + begin;
    for_each_run(space, begin, end, [&](const int64_t* offsets, int64_t count) {
      apply_run<Op>(inputs[0] + offsets[0], space.inner_stride(0), inputs[1] + offsets[1],
                    space.inner_stride(1), to, count);
      for (int k = 2; k < space.arrays; ++k) {
        apply_run<Op>(to, 1, inputs[k] + offsets[k], space.inner_stride(k), to, count);
      }
      to += count;
    });
  });
}

}  // namespace

void elementwise_cpu(ElementwiseOp op, const StridedSpace& space, const float* const* inputs,
                     float* output, ThreadPool& threads) {
  switch (op) {
    case ElementwiseOp::kAdd:
      return apply_all<Add>(space, inputs, output, threads);
    case ElementwiseOp::kMul:
      return apply_all<Mul>(space, inputs, output, threads);
    case ElementwiseOp::kGlu:
      return apply_all<Glu>(space, inputs, output, threads);
  }
}

}  // namespace engine
