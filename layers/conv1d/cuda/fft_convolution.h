// A convolution along the length by Fourier transforms of pieces of it, on the GPU.
#pragma once

#include <cstdint>

#include "engine/dtype.h"
#include "engine/layer.h"
#include "layers/conv1d/padding_mode.h"

namespace engine::cuda {

/// Points of the transform inside 16 threads: the length of a column of the first pass.
inline constexpr int kFftInner = 256;

/// y[b, m, l] = the sum over c and k of w[m, c, k] * x[b, g(m) C + c, l stride - pad_left + k], its
/// kernel cut into `parts` pieces of `part_taps` taps, its outputs (before the stride) into
/// `segments` of `segment_outputs`. Each piece and segment is one product of spectra of `points`.
struct FftConvolution {
  int64_t batch = 1;
  int64_t in_channels = 1;
  int64_t in_length = 1;
  int64_t out_channels = 1;
  int64_t out_length = 1;
  int64_t group_inputs = 1;   ///< C
  int64_t group_outputs = 1;  ///< output channels of a group
  int64_t stride = 1;
  int64_t pad_left = 0;   ///< may be negative: the first inputs are not read
  int64_t pad_right = 0;  ///< inputs beyond it are never read
  PaddingMode padding_mode = PaddingMode::kZeros;

  int64_t points = 0;  ///< 256 times 4, 8, 16, 24 or 32
  int64_t part_taps = 0;
  int64_t parts = 1;
  int64_t segment_outputs = 0;
  int64_t segments = 1;

  /// Products of spectra that an output's piece sums over.
  constexpr int64_t terms() const { return group_inputs * parts; }
  /// Two pieces of signal travel as one complex signal.
  constexpr int64_t pairs() const { return (batch * segments + 1) / 2; }
};

/// Shared memory of a block: the points, every 16 padded by one, and as many for the sum over
/// terms.
constexpr int64_t fft_shared_bytes(const FftConvolution& convolution) {
  return 8 * (convolution.points + convolution.points / 16 +
              (convolution.terms() > 1 ? convolution.points : 0));
}

/// What the device lets a block have of it.
int64_t shared_bytes_limit(Device device);

/// Spectra: [out_channels, group_inputs, parts, points] complex f32, each the conjugate of the
/// transform of a part's taps, divided by `points`, in the order of fft_bin_place(); roots:
/// fft_roots().
struct FftOperands {
  const void* input;
  const float* spectra;
  const float* roots;
  const float* bias;     ///< f32, or null
  const void* residual;  ///< shaped and stored as the output, or null
  void* output;
};

/// Enqueues it; input, output and residual are of `dtype`.
void fft_convolution(const FftConvolution& convolution, DType dtype, const FftOperands& operands,
                     const Activation& activation, const Activation& residual_activation,
                     CudaStream stream);

}  // namespace engine::cuda
