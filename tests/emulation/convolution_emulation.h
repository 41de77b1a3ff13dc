// One convolution on random data for kernels that run thread by thread on the CPU, checked against
// the formula in double.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "layers/activation/activation_math.h"
#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/cuda/epilogue.h"
#include "tests/emulation/guarded.h"
#include "tests/support/random.h"

namespace engine::test {

struct EmulatedCase {
  Conv1dProblem problem;
  int64_t split = 1;         // phases of a convolution that is not transposed
  int64_t shared_bytes = 0;  // less than the tile's, to have weights streamed in parts; or 0
  int64_t x_shift = 0;       // elements from 16 bytes
  int64_t y_shift = 0;
  int64_t blocks = 1;
  int pieces = 1;           // of tiles that are cut, of a kernel that gathers
  int exponent = 0;         // x is drawn 2^exponent times as large
  int second_exponent = 0;  // and its second value so much larger still
};

inline constexpr float kUnwritten = 12345.0f;

/// One convolution on random data in the storage type.
template <typename T>
class Emulation {
 public:
  Emulation(const EmulatedCase& c, Random& random)
      : case_(c),
        p_(c.problem),
        x_(p_.batch * p_.in_channels * p_.in_length, c.x_shift, NAN),
        y_(p_.batch * p_.out_channels * p_.out_length, c.y_shift, kUnwritten),
        residual_(p_.batch * p_.out_channels * p_.out_length, 1, NAN),
        weight_(static_cast<size_t>(p_.in_channels * p_.group_outputs() * p_.kernel_size)),
        bias_(static_cast<size_t>(p_.out_channels)) {
    const auto draw = [&] { return static_cast<T>(static_cast<float>(random.normal())); };
    for (int64_t i = 0; i < p_.batch * p_.in_channels * p_.in_length; ++i) {
      const int exponent = c.exponent + (i == 1 ? c.second_exponent : 0);
      x_.data()[i] = static_cast<T>(std::ldexp(static_cast<float>(draw()), exponent));
    }
    for (int64_t i = 0; i < outputs(); ++i) {
      residual_.data()[i] = draw();
      y_.data()[i] = static_cast<T>(NAN);
    }
    const double scale = 1.0 / std::sqrt(static_cast<double>(p_.reduction()));
    for (float& w : weight_) {
      w = static_cast<float>(static_cast<T>(static_cast<float>(scale * random.normal())));
    }
    for (float& b : bias_) b = static_cast<float>(random.normal());
  }

  const EmulatedCase& options() const { return case_; }
  const Conv1dProblem& problem() const { return p_; }
  T* x() { return x_.data(); }
  T* y() { return y_.data(); }
  cuda::Epilogue epilogue() {
    return {p_.bias ? bias_.data() : nullptr, p_.residual ? residual_.data() : nullptr,
            p_.activation, p_.residual_activation};
  }
  float weight(int64_t g, int64_t m, int64_t c, int64_t k) const {
    const int64_t C = p_.group_inputs(), M = p_.group_outputs();
    const int64_t row = p_.transposed ? (g * C + c) * M + m : (g * M + m) * C + c;
    return weight_[static_cast<size_t>(row * p_.kernel_size + k)];
  }

  /// Relative error in L2 of what `launch(*this)` computes; negative where that says that the
  /// kernel has no plan for the problem.
  template <typename Launch>
  double run(const Launch& launch) {
    if (!launch(*this)) return -1.0;
    CHECK(y_.is_guard_intact(kUnwritten));
    return error();
  }

 private:
  int64_t outputs() const { return p_.batch * p_.out_channels * p_.out_length; }

  double bias(int64_t m) const { return p_.bias ? bias_[static_cast<size_t>(m)] : 0.0; }

  double exact_sum(int64_t b, int64_t m, int64_t l) const {
    const int64_t g = m / p_.group_outputs();
    double sum = 0.0;
    for (int64_t k = 0; k < p_.kernel_size; ++k) {
      int64_t position = padded_source(l * p_.stride - p_.pad_left + k * p_.dilation, p_.in_length,
                                       p_.padding_mode);
      if (p_.transposed) {
        const int64_t from = l + p_.pad_left - k * p_.dilation;
        position = from >= 0 && from % p_.stride == 0 ? from / p_.stride : -1;
      }
      if (position < 0 || position >= p_.in_length) continue;
      for (int64_t c = 0; c < p_.group_inputs(); ++c) {
        const int64_t row = b * p_.in_channels + g * p_.group_inputs() + c;
        sum +=
            static_cast<double>(weight(g, m % p_.group_outputs(), c, k)) *
            static_cast<float>(const_cast<Guarded<T>&>(x_).data()[row * p_.in_length + position]);
      }
    }
    return sum;
  }

  // Relative to sums of products or results, whichever is larger: a bias or an activation may leave
  // little of a sum, but not of its rounding.
  double error() {
    double off = 0.0, norm = 0.0;
    for (int64_t i = 0; i < outputs(); ++i) {
      const int64_t row = i / p_.out_length, m = row % p_.out_channels;
      const double sum = exact_sum(row / p_.out_channels, m, i % p_.out_length);
      float expected = apply_activation(static_cast<float>(sum + bias(m)), p_.activation);
      if (p_.residual) {
        expected = apply_activation(expected + static_cast<float>(residual_.data()[i]),
                                    p_.residual_activation);
      }
      const double difference = static_cast<double>(static_cast<float>(y_.data()[i])) - expected;
      off += difference * difference;
      norm += std::max(sum * sum, static_cast<double>(expected) * expected);
    }
    return std::sqrt(norm > 0.0 ? off / norm : off);
  }

  const EmulatedCase& case_;
  const Conv1dProblem& p_;
  Guarded<T> x_, y_, residual_;
  std::vector<float> weight_, bias_;
};

}  // namespace engine::test
