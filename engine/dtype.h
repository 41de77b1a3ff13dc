// Element types, and the two 16-bit floating-point formats as plain storage types.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

namespace engine {

/// Element type of a tensor.
enum class DType { kF32, kF16, kBF16, kI32, kI64 };

/// IEEE 754 binary16, as stored. Converts to and from float; rounds to nearest even.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  explicit Half(float value);
  /// Without branches, so that loops over many become vectors.
  explicit operator float() const {
    const uint32_t sign = (bits & 0x8000u) << 16;
    const uint32_t exponent = (bits >> 10) & 0x1fu, fraction = bits & 0x3ffu;
    const uint32_t wide_exponent = exponent == 31 ? 255u : exponent + 112u;
    const auto subnormal = std::bit_cast<uint32_t>(static_cast<float>(fraction) * 0x1p-24f);
    const uint32_t magnitude = exponent == 0 ? subnormal : wide_exponent << 23 | fraction << 13;
    return std::bit_cast<float>(sign | magnitude);
  }
};

/// bfloat16 (the upper half of a float), as stored. Rounds to nearest even.
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value);
  explicit operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
};

/// Bytes per element.
size_t size_of(DType dtype);

/// True for f32, f16 and bf16.
bool is_floating(DType dtype);

/// "f32", "f16", "bf16", "i32" or "i64", as in model files.
const char* to_string(DType dtype);

/// The inverse of to_string. Throws Error(kInvalidArgument) and lists the known names.
DType parse_dtype(const std::string& name);

/// The DType that a C++ element type stands for: DTypeOf<float>::value == DType::kF32.
template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<Half> {
  static constexpr DType value = DType::kF16;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::kBF16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kI64;
};

}  // namespace engine
