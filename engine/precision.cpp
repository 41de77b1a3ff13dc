#include "engine/precision.h"

#include <fmt/format.h>

#include "engine/error.h"

namespace engine {

const char* to_string(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
    case Precision::kTf32:
      return "tf32";
    case Precision::kFp16:
      return "fp16";
    case Precision::kBf16:
      return "bf16";
  }
  return "?";
}

Precision parse_precision(const std::string& name) {
  for (auto precision : {Precision::kFp32, Precision::kTf32, Precision::kFp16, Precision::kBf16}) {
    if (name == to_string(precision)) return precision;
  }
  throw Error(ErrorKind::kInvalidArgument,
              fmt::format("unknown precision '{}'; expected fp32, tf32, fp16 or bf16", name));
}

DType storage_dtype(Precision precision) {
  if (precision == Precision::kFp16) return DType::kF16;
  if (precision == Precision::kBf16) return DType::kBF16;
  return DType::kF32;
}

}  // namespace engine
