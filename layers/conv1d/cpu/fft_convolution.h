// Convolutions of long kernels by Fourier transforms, for a TapProblem with one phase.
//
// With a stride of S, inputs whose positions leave the same remainder by S are a strand: a signal
// of its own, which the taps that read it move over one by one. So each channel counts as up to S.
//
// Outputs are cut into segments. A segment's inputs, as many as a transform has points, become a
// spectrum for each strand; the sum over strands of its products with the spectra of their taps
// goes back through one transform for each output channel (RingTransform). Of a product's outputs,
// those whose taps wrap around the end are left out (overlap-save). Threads share out groups, batch
// and segments, and where those are too few the output channels.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/cpu/thread_pool.h"
#include "engine/tensor.h"
#include "layers/conv1d/conv1d_taps.h"
#include "layers/conv1d/cpu/convolution_arrays.h"
#include "layers/conv1d/cpu/ring_transform.h"
#include "layers/conv1d/tap_problem.h"

namespace engine::cpu {

/// How many points the transforms of a convolution have, and the time of one thread for it.
struct FftCut {
  int64_t points;
  double seconds;
};

/// The cheapest number of points; nothing where the spectra of the taps take more than 256 MiB or
/// those of a segment more than 64 MiB.
std::optional<FftCut> cut_fft(const TapProblem& problem);

/// The strands of one channel, and the taps that read them: tap i belongs to strand i % count.
struct Strands {
  explicit Strands(const TapProblem& problem);

  int64_t stride;
  int64_t count;
  int64_t start;  ///< the first of a strand's inputs that output 0 reads; it may lie before them
  int64_t span;   ///< of its inputs, from there to the last one that output 0 reads

  /// Which of its strand's inputs a tap reads for output 0, and that strand's remainder.
  int64_t place(const PhaseTaps& taps, int64_t tap) const;
  int64_t remainder(const PhaseTaps& taps, int64_t strand) const;
};

/// A TapProblem cut into segments. Immutable; run() may be called from many threads.
class FftConvolution {
 public:
  FftConvolution(const TapProblem& problem, const FftCut& cut, int threads);

  int64_t points() const { return transform_.points(); }
  /// Of the vectors that spectra consist of.
  static int64_t lanes() { return RingTransform::lanes(); }

  /// Spectra in the order that run() reads: [groups, M, vectors, C, strands], vectors of real parts
  /// followed by the imaginary ones. `weight(g, m, c, k)` gives a tap.
  Tensor pack_weights(const WeightReader& weight) const;

  /// What run() needs, with up to the number of threads that the constructor was told.
  int64_t workspace_bytes() const;

  void run(const ConvolutionArrays& arrays, float* workspace, ThreadPool& threads) const;

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

  // Spectra whose products are summed up to that of an output channel.
  int64_t terms() const { return problem_.group_inputs * strands_.count; }
  int64_t slot_floats() const;
  Item item(int64_t index) const;
  void run_item(const Item& item, const ConvolutionArrays& arrays, float* slot) const;
  void fill(const float* channel, int64_t strand, int64_t first_output, float* signal) const;
  void store(const ConvolutionArrays& part, int64_t m, int64_t segment, const float* signal) const;

  TapProblem problem_;
  Strands strands_;
  RingTransform transform_;
  double seconds_;
  int64_t slots_;             // threads that work at the same time, each in memory of its own
  int64_t segment_outputs_;   // of each but the last
  int64_t segments_;          // of a row
  int64_t block_segments_;    // of an item
  int64_t output_parts_ = 1;  // that the output channels of a group are cut into
};

}  // namespace engine::cpu
