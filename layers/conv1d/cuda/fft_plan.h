// How a Conv1d is cut into products of spectra, what that costs, and the spectra of its weights.
// Host code: no GPU is needed to call it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "layers/conv1d/conv1d_problem.h"
#include "layers/conv1d/cuda/fft_convolution.h"

namespace engine::cuda {

/// A cut of a problem, with its predicted time on an H200.
struct FftPlan {
  FftConvolution convolution;
  double seconds = 0.0;
};

/// Shared memory that a block may have on Hopper.
inline constexpr int64_t kHopperSharedBytes = 227 * 1024;

/// The cheapest cut whose blocks have enough with `shared_bytes`. Nothing where there is none: for
/// less than 48 taps, a sum of less than 120 products in fp32 (a plain sum is more accurate), a
/// dilation above 4, a stride above 64 (1 where transposed), or spectra beyond 1 GiB.
std::optional<FftPlan> plan_fft(const Conv1dProblem& problem,
                                int64_t shared_bytes = kHopperSharedBytes);

/// The cut into `parts` with transforms of `points`; nothing where that cannot be.
std::optional<FftPlan> cut_fft(const Conv1dProblem& problem, int64_t points, int64_t parts);

/// Where bin `bin` of a spectrum of `points` lies among its values: in the order in which threads
/// hold them.
int64_t fft_bin_place(int64_t bin, int64_t points);

/// Roots of unity that the kernel multiplies by, as (re, im) pairs.
std::vector<float> fft_roots(int64_t points);

/// Fills [out_channels, group_inputs, parts, points] pairs (re, im), as FftOperands::spectra.
/// `weight(g, m, c, k)` gives tap k of output channel m and input channel c of group g.
void fft_spectra(const Conv1dProblem& problem, const FftConvolution& convolution,
                 const std::function<float(int64_t, int64_t, int64_t, int64_t)>& weight,
                 float* spectra);

}  // namespace engine::cuda
