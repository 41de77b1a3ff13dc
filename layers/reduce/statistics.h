// What reductions keep of the elements they have seen. Every state can be merged with that of other
// elements, so a long row may be cut into pieces that different threads and blocks reduce.
//
// Each type has identity(), the state of no elements; of(values, low, high), the state of
// values[low..high); and merge(a, b). Merging is a fixed sequence of roundings: reductions that
// merge in a fixed order give the same bits every time.
#pragma once

#include <cmath>
#include <limits>

#include "engine/cuda/host_device.h"

namespace engine {

/// Count, mean, and sum of squared distances from the mean.
/// Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
/// variances", 1979: no cancellation, however large the mean is beside the deviation.
template <typename Scalar>
struct Moments {
  Scalar count;
  Scalar mean;
  Scalar m2;

  static ENGINE_HOST_DEVICE Moments identity() { return {0, 0, 0}; }

  template <int kWidth>
  static ENGINE_HOST_DEVICE Moments of(const float (&values)[kWidth], int low, int high) {
    if (low >= high) return identity();
    const Scalar count = static_cast<Scalar>(high - low);
    Scalar sum = 0;
    for (int i = 0; i < kWidth; ++i) sum += i >= low && i < high ? values[i] : 0;
    const Scalar mean = sum / count;
    Scalar m2 = 0;
    for (int i = 0; i < kWidth; ++i) {
      const Scalar distance = i >= low && i < high ? values[i] - mean : 0;
      m2 += distance * distance;
    }
    return {count, mean, m2};
  }

  static ENGINE_HOST_DEVICE Moments merge(Moments a, Moments b) {
    if (a.count == 0) return b;
    if (b.count == 0) return a;
    const Scalar count = a.count + b.count;
    const Scalar fraction = b.count / count;
    const Scalar delta = b.mean - a.mean;
    return {count, a.mean + delta * fraction, a.m2 + b.m2 + delta * delta * a.count * fraction};
  }
};

/// The larger of two, NaN where either is: torch's max.
ENGINE_HOST_DEVICE float max_or_nan(float a, float b) { return a > b || a != a ? a : b; }

/// Maximum, and sum of exp(x - maximum): Milakov and Gimelshein, "Online normalizer calculation for
/// softmax", 2018. A row of nothing but -inf keeps sum 0, and a row with NaN or +inf gets sum NaN,
/// so that both come out as NaN, as in torch.
struct ExpSum {
  float max;
  float sum;

  static ENGINE_HOST_DEVICE ExpSum identity() {
    return {-std::numeric_limits<float>::infinity(), 0.0f};
  }

  template <int kWidth>
  static ENGINE_HOST_DEVICE ExpSum of(const float (&values)[kWidth], int low, int high) {
    ExpSum state = identity();
    for (int i = 0; i < kWidth; ++i) {
      if (i >= low && i < high) state.max = max_or_nan(state.max, values[i]);
    }
    if (state.max == identity().max) return state;
    for (int i = 0; i < kWidth; ++i) {
      if (i >= low && i < high) state.sum += expf(values[i] - state.max);
    }
    return state;
  }

  static ENGINE_HOST_DEVICE ExpSum merge(ExpSum a, ExpSum b) {
    if (b.sum == 0.0f) return a;
    if (a.sum == 0.0f) return b;
    const float rescale = expf(-fabsf(a.max - b.max));
    if (a.max >= b.max) return {a.max, a.sum + b.sum * rescale};
    return {b.max, a.sum * rescale + b.sum};
  }
};

/// Plain sum.
template <typename Scalar>
struct Sum {
  Scalar sum;

  static ENGINE_HOST_DEVICE Sum identity() { return {0}; }

  template <int kWidth>
  static ENGINE_HOST_DEVICE Sum of(const float (&values)[kWidth], int low, int high) {
    Scalar sum = 0;
    for (int i = 0; i < kWidth; ++i) sum += i >= low && i < high ? values[i] : 0;
    return {sum};
  }

  static ENGINE_HOST_DEVICE Sum merge(Sum a, Sum b) { return {a.sum + b.sum}; }
};

/// Maximum, NaN where any element is.
struct Maximum {
  float max;

  static ENGINE_HOST_DEVICE Maximum identity() { return {-std::numeric_limits<float>::infinity()}; }

  template <int kWidth>
  static ENGINE_HOST_DEVICE Maximum of(const float (&values)[kWidth], int low, int high) {
    Maximum state = identity();
    for (int i = 0; i < kWidth; ++i) {
      if (i >= low && i < high) state.max = max_or_nan(state.max, values[i]);
    }
    return state;
  }

  static ENGINE_HOST_DEVICE Maximum merge(Maximum a, Maximum b) {
    return {max_or_nan(a.max, b.max)};
  }
};

}  // namespace engine
