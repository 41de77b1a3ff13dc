#include <Eigen/Core>

#include "layers/elementwise/elementwise_launch.h"

namespace engine {
namespace {

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
void apply_all(const StridedSpace& space, const float* const* inputs, float* output, int64_t begin,
               int64_t end) {
  float* to = output + begin;
  for_each_run(space, begin, end, [&](const int64_t* offsets, int64_t count) {
    apply_run<Op>(inputs[0] + offsets[0], space.inner_stride(0), inputs[1] + offsets[1],
                  space.inner_stride(1), to, count);
    for (int k = 2; k < space.arrays; ++k) {
      apply_run<Op>(to, 1, inputs[k] + offsets[k], space.inner_stride(k), to, count);
    }
    to += count;
  });
}

}  // namespace

void elementwise_cpu(ElementwiseOp op, const StridedSpace& space, const float* const* inputs,
                     float* output, int64_t begin, int64_t end) {
  switch (op) {
    case ElementwiseOp::kAdd:
      return apply_all<Add>(space, inputs, output, begin, end);
    case ElementwiseOp::kMul:
      return apply_all<Mul>(space, inputs, output, begin, end);
    case ElementwiseOp::kGlu:
      return apply_all<Glu>(space, inputs, output, begin, end);
  }
}

}  // namespace engine
