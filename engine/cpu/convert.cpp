#include "engine/cpu/convert.h"

#include <fmt/format.h>

#include "engine/error.h"

namespace engine {
namespace {

template <typename Source, typename Target>
void convert_floats(const Source* source, Target* target, int64_t count) {
  for (int64_t i = 0; i < count; ++i) target[i] = Target(static_cast<float>(source[i]));
}

template <typename Source>
void convert_floats_to(const Source* source, void* target, DType dtype, int64_t count) {
  if (dtype == DType::kF32) return convert_floats(source, static_cast<float*>(target), count);
  if (dtype == DType::kF16) return convert_floats(source, static_cast<Half*>(target), count);
  convert_floats(source, static_cast<BFloat16*>(target), count);
}

template <typename Source, typename Target>
void convert_integers(const Source* source, Target* target, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    target[i] = static_cast<Target>(source[i]);
    if (static_cast<Source>(target[i]) != source[i]) {
      throw Error(ErrorKind::kInvalidArgument,
                  fmt::format("the integer {} does not fit i32", source[i]));
    }
  }
}

}  // namespace

void convert_elements(const void* source, DType source_dtype, void* target, DType target_dtype,
                      int64_t count) {
  switch (source_dtype) {
    case DType::kF32:
      return convert_floats_to(static_cast<const float*>(source), target, target_dtype, count);
    case DType::kF16:
      return convert_floats_to(static_cast<const Half*>(source), target, target_dtype, count);
    case DType::kBF16:
      return convert_floats_to(static_cast<const BFloat16*>(source), target, target_dtype, count);
    case DType::kI32:
      return convert_integers(static_cast<const int32_t*>(source), static_cast<int64_t*>(target),
                              count);
    case DType::kI64:
      return convert_integers(static_cast<const int64_t*>(source), static_cast<int32_t*>(target),
                              count);
  }
}

}  // namespace engine
