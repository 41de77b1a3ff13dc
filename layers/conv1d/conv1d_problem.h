// Everything that decides which kernel computes a Conv1d, and how.
#pragma once

#include <cstdint>
#include <string>

#include "engine/activation.h"
#include "engine/dtype.h"
#include "engine/precision.h"
#include "layers/conv1d/padding_mode.h"

namespace engine {

/// One convolution of concrete size:
///   y[b, m, l] = f(bias[m] + sum over c, k of w[m, c, k] * x[b, g(m) C + c, l S - left + k D])
/// with C = in_channels / groups, g(m) the group of output channel m, S the stride, D the dilation.
/// x is [batch, in_channels, in_length], w [out_channels, C, kernel_size], y [batch, out_channels,
/// out_length].
/// Transposed (ConvTranspose1d): the sum runs over those c, k and input positions p for which
/// l = p S - left + k D, and w is [in_channels, out_channels / groups, kernel_size].
/// With a residual r, shaped as y, the result is f2(f(...) + r).
struct Conv1dProblem {
  int64_t batch = 1;
  int64_t in_channels = 1;
  int64_t in_length = 1;
  int64_t out_channels = 1;
  int64_t out_length = 1;
  int64_t kernel_size = 1;
  int64_t stride = 1;
  int64_t pad_left = 0;
  int64_t pad_right = 0;
  int64_t dilation = 1;
  int64_t groups = 1;
  PaddingMode padding_mode = PaddingMode::kZeros;
  bool transposed = false;
  bool bias = true;
  Activation activation;           ///< f
  bool residual = false;           ///< a second input is added behind f
  Activation residual_activation;  ///< f2
  DType dtype = DType::kF32;       ///< of x and y
  Precision precision = Precision::kFp32;

  int64_t group_inputs() const { return in_channels / groups; }
  int64_t group_outputs() const { return out_channels / groups; }
  /// Weights of one output channel: the inputs that one output sums over, unless transposed.
  int64_t reduction() const { return group_inputs() * kernel_size; }
  /// A multiply-add counted as two.
  double flops() const {
    const int64_t positions = transposed ? in_length : out_length;
    return 2.0 * static_cast<double>(batch) * static_cast<double>(out_channels) *
           static_cast<double>(positions) * static_cast<double>(reduction());
  }
};

/// "Conv1d fp32 x [2, 64, 131072] w [128, 64, 3] y [2, 128, 131070] stride 1 padding 0+0 ...".
std::string to_string(const Conv1dProblem& problem);

}  // namespace engine
