// The arithmetic that a user asks for.
#pragma once

#include <string>

#include "engine/dtype.h"

namespace engine {

/// Arithmetic of the floating-point layers. The CPU computes in fp32 only. On a GPU, matrix
/// products of f32 may be made of parts that are scaled together: of values less than 2^-25 of the
/// largest of their channels and positions, or 2^-26 in kTf32, some of the last bits are lost.
enum class Precision {
  kFp32,  ///< fp32-accurate: errors no larger than a plain fp32 accumulation's
  kTf32,  ///< f32 storage, matrix products with TF32's 10-bit mantissa, f32 accumulation
  kFp16,  ///< f16 storage and products, f32 accumulation
  kBf16,  ///< bf16 storage and products, f32 accumulation
};

/// "fp32", "tf32", "fp16" or "bf16".
const char* to_string(Precision precision);

/// The inverse of to_string. Throws Error(kInvalidArgument).
Precision parse_precision(const std::string& name);

/// How floating-point values are stored between layers: f32, f32, f16, bf16.
DType storage_dtype(Precision precision);

}  // namespace engine
