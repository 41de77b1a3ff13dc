// The most that a CPU can multiply: vectors in registers, with nothing to wait for.
#pragma once

#include <cstdint>

namespace engine::cli {

/// A loop of multiply-adds for the best instruction set of this machine.
struct PeakLoop {
  /// Runs that many rounds; the result is only there so that they are not left out.
  float (*run)(int64_t rounds, float factor);
  int64_t flops_of_round;  ///< a multiply-add counted as two
};

PeakLoop peak_loop();

}  // namespace engine::cli
