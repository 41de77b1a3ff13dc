// Random Conv1d and ConvTranspose1d problems.
#pragma once

#include "tests/support/following.h"
#include "tests/support/layer_check.h"
#include "tests/support/random.h"

namespace engine::test {

/// A legal Conv1d with attributes and sizes drawn from `seed`, small enough for the reference.
LayerCase random_conv1d(uint64_t seed);
/// The same with 48 to a few hundred taps, few channels, and inputs shorter and longer than that.
LayerCase random_long_conv1d(uint64_t seed);
/// The same with channels and lengths beyond one tile of a matrix product.
LayerCase random_wide_conv1d(uint64_t seed);
/// The same of stride 1 whose rows of 16-bit elements begin and end at multiples of 16 bytes.
LayerCase random_aligned_conv1d(uint64_t seed);
/// The same of ConvTranspose1d.
LayerCase random_conv_transpose1d(uint64_t seed);

/// How large the values of a Conv1d of one group are: all of x by a power of two, input channel c
/// of x by another for each c, its weights by the inverse of that, and the second value of each
/// sample by one more.
struct Magnitudes {
  int exponent = 0;
  int channel_step = 0;
  int second_exponent = 0;

  bool is_plain() const { return exponent == 0 && channel_step == 0 && second_exponent == 0; }
};

/// A convolution and what is fused behind it.
struct ConvCase {
  LayerCase layer;                ///< Conv1d or ConvTranspose1d
  Following activation;           ///< f
  bool residual = false;          ///< whether a second input is added behind f
  Following residual_activation;  ///< f2, behind the residual
  Magnitudes magnitudes = {};     ///< where values are stored in f32; else the case is left out
};

/// The layer with an activation or none, a residual or none, drawn from its seed.
ConvCase with_random_epilogue(const LayerCase& layer);

}  // namespace engine::test
