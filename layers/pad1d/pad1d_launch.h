// The padding kernel's launch function, and the index rule that it shares with the CPU path.
#pragma once

#include <cstdint>

#include "engine/cuda/host_device.h"
#include "engine/layer.h"

namespace engine {

/// How a row is continued beyond its ends, as torch.nn.functional.pad's mode.
enum class PadMode { kConstant, kReflect, kReplicate, kCircular };

/// Padding of the last dimension of a tensor seen as [rows, length].
struct PadProblem {
  PadMode mode = PadMode::kConstant;
  int64_t rows = 0;
  int64_t length = 0;
  int64_t left = 0;
  int64_t output_length = 0;
  int64_t element_bytes = 4;  ///< 2, 4 or 8
  uint64_t value_bits = 0;    ///< the constant as stored, in the low bytes
};

/// Which element of a row of `length` stands at `position`, counted from the row's start and
/// possibly beyond its ends; -1 for the constant. Requires, beyond the ends, at most length - 1
/// positions for reflect and length for circular.
ENGINE_HOST_DEVICE int64_t padded_index(PadMode mode, int64_t position, int64_t length) {
  if (position >= 0 && position < length) return position;
  switch (mode) {
    case PadMode::kReflect:
      return position < 0 ? -position : 2 * (length - 1) - position;
    case PadMode::kReplicate:
      return position < 0 ? 0 : length - 1;
    case PadMode::kCircular:
      return position < 0 ? position + length : position - length;
    default:
      return -1;
  }
}

/// Enqueues output[row][i] = row element padded_index(i - left), or the constant.
void pad1d_cuda(const PadProblem& problem, const void* input, void* output, CudaStream stream);

}  // namespace engine
