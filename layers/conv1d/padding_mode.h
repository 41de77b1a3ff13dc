// What a convolution reads beyond the ends of its input.
#pragma once

#include <cstdint>

namespace engine {

/// torch.nn.Conv1d's padding_mode.
enum class PaddingMode { kZeros, kReflect, kReplicate, kCircular };

/// "zeros", "reflect", "replicate" or "circular".
const char* to_string(PaddingMode mode);

/// The input position that the padded position `position` (0 is the first real input) repeats, or
/// -1 where it is a zero. REQUIRES: kReflect pads by less than `length`, kCircular by no more.
constexpr int64_t padded_source(int64_t position, int64_t length, PaddingMode mode) {
  if (position >= 0 && position < length) return position;
  const bool before = position < 0;
  switch (mode) {
    case PaddingMode::kZeros:
      return -1;
    case PaddingMode::kReflect:
      return before ? -position : 2 * (length - 1) - position;
    case PaddingMode::kReplicate:
      return before ? 0 : length - 1;
    case PaddingMode::kCircular:
      return before ? position + length : position - length;
  }
  return -1;
}

}  // namespace engine
