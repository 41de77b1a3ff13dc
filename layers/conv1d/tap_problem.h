// Conv1d and ConvTranspose1d as one kind of sum, for the kernels that compute both.
//
// The outputs of a convolution fall into phases: Conv1d has one, ConvTranspose1d one for each
// remainder of the output position by the stride. Output q of phase r lies at q * phases() + r and
// is
//   y[b, g M + m, q phases() + r] =
//       f(bias[g M + m] + sum over c, i of w[g, m, c, first + i step] * x[b, g C + c,
//                                              q in_stride() + offset + i shift])
// where i counts the taps of phase r; with a residual, f2 of that and the residual. No tap that
// misses the input's grid is ever looked at.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "engine/activation.h"
#include "layers/conv1d/padding_mode.h"

namespace engine {

/// The taps of one phase.
struct PhaseTaps {
  int64_t first = 0;   ///< tap
  int64_t step = 1;    ///< between taps
  int64_t count = 0;   ///< of taps
  int64_t offset = 0;  ///< input position of the first tap for output 0
  int64_t shift = 0;   ///< input positions from one tap to the next
};

/// Which taps and inputs each phase uses.
class TapRule {
 public:
  /// Conv1d: output l reads input l * stride - pad_left + k * dilation for tap k.
  static constexpr TapRule forward(int64_t kernel_size, int64_t stride, int64_t dilation,
                                   int64_t pad_left) {
    return {kernel_size, stride, dilation, pad_left, false};
  }
  /// ConvTranspose1d: input l adds to output l * stride - pad_left + k * dilation for tap k.
  static constexpr TapRule transposed(int64_t kernel_size, int64_t stride, int64_t dilation,
                                      int64_t pad_left) {
    return {kernel_size, stride, dilation, pad_left, true};
  }

  constexpr int64_t kernel_size() const { return kernel_size_; }
  constexpr int64_t pad_left() const { return pad_left_; }
  constexpr int64_t phases() const { return transposed_ ? stride_ : 1; }
  constexpr int64_t in_stride() const { return transposed_ ? 1 : stride_; }

  /// Outputs of phase r when there are `out_length` in all.
  constexpr int64_t outputs(int64_t r, int64_t out_length) const {
    return out_length <= r ? 0 : (out_length - r - 1) / phases() + 1;
  }

  constexpr PhaseTaps phase(int64_t r) const {
    if (!transposed_) return {0, 1, kernel_size_, -pad_left_, dilation_};
    // Tap k hits the phase where k * dilation = r + pad_left modulo the stride.
    const int64_t target = r + pad_left_;
    const int64_t step = stride_ / common_;
    if (target % common_ != 0) return {};
    const int64_t first = target / common_ % step * inverse_ % step;
    if (first >= kernel_size_) return {};
    return {first, step, (kernel_size_ - 1 - first) / step + 1,
            (target - first * dilation_) / stride_, -(dilation_ / common_)};
  }

 private:
  constexpr TapRule(int64_t kernel_size, int64_t stride, int64_t dilation, int64_t pad_left,
                    bool transposed)
      : kernel_size_(kernel_size),
        stride_(stride),
        dilation_(dilation),
        pad_left_(pad_left),
        transposed_(transposed),
        common_(std::gcd(stride, dilation)),
        inverse_(inverse(dilation / common_, stride / common_)) {}

  // The x in [0, modulus) with a * x = 1 modulo it, by Euclid's algorithm; a and modulus share no
  // divisor.
  static constexpr int64_t inverse(int64_t a, int64_t modulus) {
    int64_t rest = modulus, next = a % modulus, x = 0, next_x = 1;
    while (next != 0) {
      const int64_t quotient = rest / next;
      const int64_t new_rest = rest - quotient * next, new_x = x - quotient * next_x;
      rest = next, next = new_rest;
      x = next_x, next_x = new_x;
    }
    return (x % modulus + modulus) % modulus;
  }

  int64_t kernel_size_;
  int64_t stride_;
  int64_t dilation_;
  int64_t pad_left_;
  bool transposed_;
  int64_t common_;   // greatest common divisor of stride and dilation
  int64_t inverse_;  // of dilation / common_ modulo stride / common_
};

/// Sizes and parameters. x is [batch, groups * C, in_length], y [batch, groups * M, out_length]; C
/// is group_inputs, M group_outputs.
struct TapProblem {
  int64_t batch = 1;
  int64_t groups = 1;
  int64_t group_inputs = 1;
  int64_t group_outputs = 1;
  int64_t in_length = 1;
  int64_t out_length = 1;
  TapRule taps = TapRule::forward(1, 1, 1, 0);
  PaddingMode padding_mode = PaddingMode::kZeros;
  Activation activation;           ///< f
  Activation residual_activation;  ///< f2, behind the residual where there is one

  int64_t phases_with_outputs() const { return std::min(taps.phases(), out_length); }
};

}  // namespace engine
