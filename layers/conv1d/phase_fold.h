// A Conv1d or ConvTranspose1d as one strided convolution without padding, whose outputs are rows:
// the form that implicit GEMM kernels compute.
//
// Row i = m * phases + r of group g holds output positions q * phases + r - lead of channel m, so
//   y[b, g M + m, q phases + r - lead] = f(bias[g M + m] + sum over c, u < taps of
//       w[g, m, c, tap(r, u)] * x[b, g C + c, q stride + first + u spacing])
// where tap(r, u) is -1 for a product that phase r does not have. ConvTranspose1d has as many
// phases as its stride: every phase is an ordinary convolution, and all share the same inputs.
// Conv1d has one, or more where few output channels leave rows of a tile empty. The first `lead`
// rows of column 0 hold nothing: counted from where padding begins, the phases of a transposed
// convolution read inputs of the same places, of which there are the fewest then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "layers/conv1d/tap_problem.h"

namespace engine {

struct PhaseFold {
  int64_t phases = 1;
  int64_t lead = 0;  ///< below phases
  int64_t stride = 1;
  int64_t first = 0;
  int64_t spacing = 1;
  int64_t taps = 1;
  std::vector<int64_t> tap_table;  ///< [phases, taps]

  int64_t tap(int64_t phase, int64_t u) const {
    return tap_table[static_cast<std::size_t>(phase * taps + u)];
  }
};

/// The taps of `rule`, each phase of it split into `split` (1 for ConvTranspose1d).
PhaseFold fold_phases(const TapRule& rule, int64_t split);

}  // namespace engine
