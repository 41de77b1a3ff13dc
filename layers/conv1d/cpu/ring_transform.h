// Products of real signals by Fourier transforms, on vectors.
//
// Real polynomials modulo x^N + 1 are complex ones modulo x^n - i with n = N / 2, where x^n = i: a
// signal's first half is the real part of n complex numbers, its second half the imaginary part.
// x^(4m) - c^4 falls apart into x^m - c, x^m + c, x^m - ic and x^m + ic, so passes of radix 4 split
// that up until n numbers are left, and a product of two polynomials is n products. No real signal
// is ever paired with another one, none needs a pass to tell them apart, and all of a node's
// butterflies share their roots. The numbers come in the order that the passes leave them in, in
// every spectrum the same.
//
// Signals lie in two planes of n floats each. Passes down to a vector of consecutive numbers work
// on whole vectors; the last one transposes blocks of four vectors in registers. Blocks of 8 KB go
// through all passes in the first-level cache.
#pragma once

#include <cstdint>
#include <vector>

namespace engine::cpu {

/// What every transform of N real points reads. Immutable.
class RingTransform {
 public:
  /// `points` is a power of two, at least kLeastPoints.
  explicit RingTransform(int64_t points);

  static constexpr int64_t kLeastPoints = 128;

  int64_t points() const { return points_; }
  int64_t numbers() const { return points_ / 2; }
  /// From the first half of a signal to the second: not a power of two, so that they fall into
  /// different sets of a cache.
  int64_t plane() const { return numbers() + 16; }
  /// Floats that a signal takes.
  int64_t signal_floats() const { return plane() + numbers(); }
  /// Of the vectors that a spectrum consists of: as many real parts, then the imaginary ones.
  static int64_t lanes();
  int64_t vectors() const { return numbers() / lanes_; }

  /// Signal to spectrum, whose vectors are written `stride` floats apart. The signal is lost.
  void forward(float* signal, float* spectrum, int64_t stride) const;
  /// Spectrum, of vectors one behind the other, to the signal times numbers().
  void inverse(const float* spectrum, float* signal) const;
  /// For each of `count` (up to kMostProducts) inputs: sums[v] = the sum over `terms` of weights[v,
  /// term] * inputs[v, term], for each vector v. Inputs and sums lie one behind the other.
  void multiply(const float* weights, const float* inputs, int64_t terms, int64_t count,
                float* sums) const;
  static constexpr int64_t kMostProducts = 3;

  /// Of the nodes at a depth, in radix-4 passes: (re, im) of c, c^2 and c^3 for each.
  const float* roots(int64_t depth) const { return roots_.data() + starts_[depth]; }
  /// Of the last pass, for every four vectors.
  const float* last_roots() const { return last_roots_.data(); }

 private:
  int64_t points_;
  int64_t lanes_;
  std::vector<float> roots_;
  std::vector<int64_t> starts_;
  std::vector<float> last_roots_;
};

}  // namespace engine::cpu
