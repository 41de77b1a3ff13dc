// How fast a machine copies and multiplies: what a measured time is held against.
#pragma once

#include <map>
#include <vector>

#include "apps/engine/machine.h"
#include "apps/engine/noise.h"
#include "engine/precision.h"

namespace engine::cli {

struct Ceilings {
  double copy_bytes_per_second = 0.0;  ///< of a large copy, bytes read plus bytes written
  /// Of matrix products through cuBLAS with M = N = K = 8192 on a GPU; of multiply-adds in the
  /// registers of all threads on a CPU.
  std::map<Precision, double> flops_per_second;

  /// The least time for that many operations and bytes. fp32 on a GPU may take whichever is
  /// faster: fp32 arithmetic, or the three TF32 products that are as accurate.
  double roofline_seconds(double flops, double bytes, Precision precision) const;
};

/// Measures what `precisions` need.
Ceilings measure_ceilings(Machine& machine, Noise& noise, const std::vector<Precision>& precisions);

}  // namespace engine::cli
