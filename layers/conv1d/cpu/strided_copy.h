// Every n-th value of a row, side by side.
#pragma once

#include <cstdint>

namespace engine::cpu {

/// target[i] = source[i * stride] for i < count. Nothing behind the last of these is read.
void strided_copy(const float* source, int64_t stride, int64_t count, float* target);

}  // namespace engine::cpu
