// Values that lie a stride apart, side by side.
#pragma once

#include <cstdint>

namespace engine::cpu {

/// target[i] = source[i * stride] for i < count. Nothing behind the last of these is read.
void strided_copy(const float* source, int64_t stride, int64_t count, float* target);

/// The same for several remainders at once: row[places[r] + i] = source[i * stride + r] for i <
/// count and each r < width whose place is not negative. Nothing behind source[(count - 1) * stride
/// + width - 1] is read. `width` is at least kLeastDeinterleaved or the stride, and at most the
/// stride.
void deinterleave(const float* source, int64_t stride, int64_t width, int64_t count, float* row,
                  const int32_t* places);
inline constexpr int64_t kLeastDeinterleaved = 4;

}  // namespace engine::cpu
