// Convolutions of long kernels by Fourier transforms, for a TapProblem with one phase and stride 1.
//
// Outputs are cut into segments. A segment's inputs, as many as a transform has points, become a
// spectrum for each input channel; the sum over channels of its products with the spectra of the
// taps goes back through one transform for each output channel (RingTransform). Of a product's
// outputs, those whose taps wrap around the end are left out (overlap-save). Threads share out
// groups, batch and segments, and where those are too few the output channels.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "engine/cpu/thread_pool.h"
#include "engine/tensor.h"
#include "layers/conv1d/cpu/ring_transform.h"
#include "layers/conv1d/tap_problem.h"

namespace engine::cpu {

/// How many points the transforms of a convolution have, and the time of one thread for it.
struct FftCut {
  int64_t points;
  double seconds;
};

/// The cheapest number of points; nothing where the spectra of the taps take more than 256 MiB or
/// those of a segment more than 64 MiB, or where the stride is not 1.
std::optional<FftCut> cut_fft(const TapProblem& problem);

/// A TapProblem cut into segments. Immutable; run() may be called from many threads.
class FftConvolution {
 public:
  FftConvolution(const TapProblem& problem, const FftCut& cut, int threads);

  int64_t points() const { return transform_.points(); }
  /// Of the vectors that spectra consist of.
  int64_t lanes() const { return transform_.lanes(); }

  /// Spectra in the order that run() reads: [groups, M, vectors, C], vectors of real parts followed
  /// by the imaginary ones. `weight(g, m, c, k)` gives a tap.
  Tensor pack_weights(const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight) const;

  /// What run() needs, with up to the number of threads that the constructor was told.
  int64_t workspace_bytes() const;

  /// What run() works on: `weights` as pack_weights() made them, `bias` of groups * M values or
  /// null, `residual` shaped as the output or null.
  struct Arrays {
    const float* input;
    const float* weights;
    const float* bias;
    const float* residual;
    float* output;
  };
  void run(const Arrays& arrays, float* workspace, ThreadPool& threads) const;

 private:
  // Of one sample and group: consecutive segments, and the output channels [first, end).
  struct Item {
    int64_t sample;
    int64_t group;
    int64_t segment;
    int64_t segments;
    int64_t first;
    int64_t end;
  };

  int64_t slot_floats() const;
  Item item(int64_t index) const;
  void run_item(const Item& item, const Arrays& arrays, float* slot) const;
  void fill(const float* channel, int64_t first_output, float* signal) const;
  void store(const Item& item, const Arrays& arrays, int64_t m, int64_t segment,
             const float* signal) const;

  TapProblem problem_;
  RingTransform transform_;
  double seconds_;
  int64_t slots_;             // threads that work at the same time, each in memory of its own
  int64_t segment_outputs_;   // of each but the last
  int64_t segments_;          // of a row
  int64_t block_segments_;    // of an item
  int64_t output_parts_ = 1;  // that the output channels of a group are cut into
};

}  // namespace engine::cpu
