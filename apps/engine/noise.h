// Random numbers in device memory that the CPU knows too.
#pragma once

#include <cstdint>
#include <map>

#include "apps/engine/machine.h"
#include "engine/dtype.h"
#include "engine/tensor.h"

namespace engine::cli {

/// An endless row of values from a normal distribution with a variance of 1, rounded to what a
/// dtype stores. It repeats after a prime number of values, so that no two rows of a tensor are
/// alike, and one period is drawn on the CPU: filling memory is then a matter of copies.
class Noise {
 public:
  static constexpr int64_t kPeriod = 4194301;

  Noise(uint64_t seed, const Machine& machine);

  /// Writes values 0 ... elements - 1 to memory of the machine, and returns when they are there.
  void fill(void* target, DType dtype, int64_t elements);
  /// Values 0 ... kPeriod - 1.
  const float* values(DType dtype) { return period(dtype).values.data<float>(); }

 private:
  struct Period {
    Tensor values;  // in f32 on the CPU
    Tensor stored;  // on the device
  };
  const Period& period(DType dtype);

  const Machine& machine_;
  Tensor drawn_;
  std::map<DType, Period> periods_;
};

}  // namespace engine::cli
