// One convolution on random data: how long a kernel takes for it, and how exact it is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apps/engine/conv1d_suite.h"
#include "apps/engine/machine.h"
#include "apps/engine/noise.h"
#include "layers/conv1d/conv1d_select.h"

namespace engine::cli {

/// Bytes that any kernel must move: x, weight and bias read once, y written once.
double compulsory_bytes(const Conv1dProblem& problem);

/// Random weights, enough sets of random inputs and of outputs that together they are twice as
/// large as the device's cache, and the exact values of a sample of the outputs.
class Conv1dTrial {
 public:
  /// Throws Error(kOutOfMemory). `noise` and `machine` outlive the trial.
  Conv1dTrial(const Conv1dProblem& problem, Noise& noise, Machine& machine);
  ~Conv1dTrial();

  struct Result {
    double seconds = 0.0;  ///< median of a run
    /// |y - exact| / |exact| over the sample, against double precision from the values that the
    /// kernel was given; infinite where an element was not written or is not a number.
    double relative_error = 0.0;
  };
  /// Readies the kernel for the precision (one of the problem's storage dtype) as a Session does,
  /// checks it on poisoned outputs and times it for about `budget` seconds.
  Result run(const Conv1dKernel& kernel, Precision precision, double budget);

 private:
  class Weights;
  struct Piece {
    int64_t first;              // output, counted through y
    std::vector<double> exact;  // of that and the following ones
  };

  void choose_sample();
  double exact(int64_t output) const;
  PrepareContext context_of(const Conv1dProblem& problem, WeightCache& weights) const;
  double relative_error() const;

  Conv1dProblem problem_;
  Machine& machine_;
  const float* noise_;  // x, which repeats after Noise::kPeriod values
  std::unique_ptr<Weights> weights_;
  int64_t sets_;
  int64_t x_bytes_;  // from one set to the next
  int64_t y_bytes_;
  std::shared_ptr<void> x_;
  std::shared_ptr<void> y_;
  std::vector<Piece> sample_;
};

}  // namespace engine::cli
